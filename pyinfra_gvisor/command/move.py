"""``move``: recreate running containers so that they run in gVisor."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.nodes import JSON, YES, print_results
from pyinfra_gvisor.command.running import (
    INVENTORY,
    Nodes,
    fleets_or_own,
    pyinfra_arguments,
    run_pyinfra,
)
from pyinfra_gvisor.moves.planned import LONGEST_S, USUAL_S
from pyinfra_gvisor.report.moves import Moves
from pyinfra_gvisor.report.summary import RESULT_DIR
from pyinfra_gvisor.trials.asked import NAME


@click.command()
@click.argument("host")
@click.argument("apps", nargs=-1, metavar="[APP]…")
@click.option(
    "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
)
@click.option("--dry", is_flag=True, help="Show order and gaps. Changes nothing.")
@click.option(
    "--watch-s",
    type=click.IntRange(1, LONGEST_S),
    default=USUAL_S,
    show_default=True,
    metavar="N",
    help="How long each new one is watched.",
)
@click.option(
    "--max-failed",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Stop after so many on a host.",
)
@click.option("--failing", is_flag=True, help="Also those that rules or a trial expect to fail.")
@click.option("--leave-writes", is_flag=True, help="Also those that wrote outside of volumes.")
@YES
@JSON
def move(
    host: str,
    apps: tuple[str, ...],
    inventory: str,
    *,
    dry: bool,
    watch_s: int,
    max_failed: int,
    failing: bool,
    leave_writes: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """
    Move containers into gVisor, with a way back.

    HOST is a host or a group, APP the name or id of a container; without APP all that can be moved.
    One after another is created again from what it was given, with its volumes. The old one is
    stopped, and removed only after the new one was seen to do what the old one did: health check,
    ports, sites of a proxy, neighbours. If it does not, the old one runs again, under runc.
    """
    if bad := [name for name in apps if not NAME.fullmatch(name)]:
        raise Problem("not the name or id of a container", got=bad[0], todo="see docker ps there")
    if not (yes or dry or sys.stdin.isatty()):
        raise Problem("pyinfra asks before a change, and stdin is no terminal", todo="add -y")
    given = {"apps": [*apps], "watch_s": watch_s, "max_failed": max_failed}
    given |= {"failing": True} if failing else {}
    given |= {"leave_writes": True} if leave_writes else {}
    own = [f"--data=move_{key}={json.dumps(value)}" for key, value in given.items()]
    own = [text.replace("=true", "=True") for text in own]
    own += ["--dry"] if dry else ["-y"] if yes else []
    nodes = Nodes(inventory, (host,), ())
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-") as directory:
        arguments = pyinfra_arguments(nodes, fleets_or_own("move"), *own)
        code = run_pyinfra(arguments, plan=dry, environment={RESULT_DIR: directory})
        print_results(Path(directory), Moves, as_json=as_json)
    return code
