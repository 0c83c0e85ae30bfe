"""``pyinfra-gvisor drift``: a dry run of pyinfra, with an exit code to rely on."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.running import Nodes, deploy_file, fleet_files, on_nodes
from pyinfra_gvisor.drift.printed import as_details, as_json, as_table
from pyinfra_gvisor.drift.record import DEFAULT_CONFIG
from pyinfra_gvisor.drift.run import TIMEOUT_S, Request, dry_run
from pyinfra_gvisor.drift.verdict import Drift, judge
from pyinfra_gvisor.planning.file_mistakes import refuse_mistakes

MAX_TIMEOUT_S = 86400.0

# Options that this command gives to pyinfra. With -y pyinfra would not look for changes.
OURS = (
    *("--dry", "--json", "-y", "--yes", "--diff", "--limit", "--data", "--group-data"),
    *("--config", "--debug-facts", "--debug-operations"),
)


@click.command()
@on_nodes
@click.option(
    "--deploy",
    "deploys",
    multiple=True,
    default=("gvisor",),
    show_default=True,
    metavar="NAME",
    help="A file of deploys/, or a path. Repeatable.",
)
@click.option("--json", "as_document", is_flag=True, help="The plan by host, as JSON.")
@click.option("--diff", is_flag=True, help="With all that is said about hosts, and file diffs.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Data for all hosts.")
@click.option("--group-data", multiple=True, metavar="PATH", help="More group data.")
@click.option("--config", default=DEFAULT_CONFIG, show_default=True, metavar="FILE")
@click.option(
    "--timeout-s",
    type=float,
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="For the whole run: over 0, at most 86400.",
)
def drift(nodes: Nodes, *, as_document: bool, diff: bool, **own: tuple[str, ...]) -> int:
    """
    Check for pending changes, in CI or cron.

    Changes nothing.

    Exits with 0 if no operation would change a host, with 2 if one would.
    """
    found = looked(_request(nodes, diff=diff, **own))  # type: ignore[arg-type]
    if diff and not as_document:
        _write(sys.stderr, as_details(found))
    _write(sys.stdout, [as_json(found)] if as_document else as_table(found))
    return found.code


def planned(nodes: Nodes, deploy: str) -> Drift:
    """Return what a deploy would change, by host."""
    return looked(_request(nodes, deploys=(deploy,)))


def looked(request: Request) -> Drift:
    """Return what a dry run finds. Raises ``Problem`` if it cannot be started."""
    # As on Ctrl-C: without it pyinfra would go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return judge(request, dry_run(request))
    except OSError as error:
        raise Problem(f"drift: {error}") from None


def _request(
    nodes: Nodes,
    *,
    deploys: tuple[str, ...],
    data: tuple[str, ...] = (),
    group_data: tuple[str, ...] = (),
    config: str = DEFAULT_CONFIG,
    timeout_s: float = TIMEOUT_S,
    diff: bool = False,
) -> Request:
    for option in nodes.options:
        if (name := option.partition("=")[0]) in OURS:
            raise click.UsageError(f"{name} cannot be passed to pyinfra after --")
    if not 0 < timeout_s <= MAX_TIMEOUT_S:  # also refuses nan
        raise click.UsageError(f"--timeout-s must be over 0 and at most {MAX_TIMEOUT_S:g}")
    if any("=" not in pair for pair in data):
        raise click.UsageError("--data needs KEY=VALUE")  # the text is not shown: maybe a secret
    paths = tuple(map(deploy_file, deploys))
    inventory = Path(nodes.inventory)
    refuse_mistakes(fleet_files(*paths), inventory if inventory.is_file() else None)
    return Request(
        inventory=nodes.inventory,
        deploys=paths,
        limits=nodes.limits,
        data=data,
        group_data=group_data,
        config=config,
        diff=diff,
        passed=nodes.options,
        timeout_s=timeout_s,
    )


def _write(stream: TextIO, lines: Sequence[str]) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # an ASCII terminal is no reason to end
    stream.writelines(f"{line}\n" for line in lines)
