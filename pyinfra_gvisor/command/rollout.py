"""``rollout``: change a fleet in waves; ``shard``: do one part of it anywhere."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyinfra_gvisor.base.atomic_write import write_whole
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.exit_codes import FAILED, FINE, PENDING
from pyinfra_gvisor.command.running import INVENTORY, deploy_file, existing, fleet_files
from pyinfra_gvisor.planning.file_mistakes import refuse_mistakes
from pyinfra_gvisor.rollout.hosts import inputs, read_fleet
from pyinfra_gvisor.rollout.plan import (
    USUAL_SHARD,
    USUAL_WAVES,
    Plan,
    PlannedHost,
    new_id,
    read_plan,
    waves,
)
from pyinfra_gvisor.rollout.shard import read_records, run_shard, told_records
from pyinfra_gvisor.rollout.told import Progress, plan_lines, status_json, status_lines

if TYPE_CHECKING:
    from pyinfra_gvisor.rollout.engine import Rollouts

_POLL_S = 0.5
_NONE = Problem("there is no rollout", todo="begin one: pyinfra-gvisor rollout")


@click.group(invoke_without_command=True)
@click.option(
    "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
)
@click.option("--release", metavar="RELEASE", help="For all hosts, whatever their settings say.")
@click.option("--waves", "sizes", default=USUAL_WAVES, show_default=True, metavar="SIZES")
@click.option("--max-failed", type=click.IntRange(0), default=0, show_default=True, metavar="N")
@click.option("--max-failed-all", type=click.IntRange(0), metavar="N", help="Default: the same.")
@click.option("--absent", multiple=True, metavar="HOST", help="May be unreachable. Repeatable.")
@click.option("--soak-s", type=click.IntRange(0), default=0, metavar="N", help="Then audit.")
@click.option("--approve", is_flag=True, help="Each wave but the first waits for next.")
@click.option("--halt-if", default="", metavar="CMD", help="No wave begins if it ends with 0.")
@click.option("--plan", "file", type=click.Path(path_type=Path), metavar="FILE", help="Only plan.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def rollout(
    context: click.Context, /, inventory: str, *, file: Path | None, yes: bool, **own: object
) -> int:
    """
    Change a fleet in waves.

    It stops when too many hosts fail. The group canary is first. It goes on wherever it was ended:
    rollout resume.
    """
    if context.invoked_subcommand:
        return FINE
    plan = _planned(inventory, **own)  # type: ignore[arg-type]
    for line in plan_lines(plan):
        click.echo(line)
    if file is not None:
        write_whole(file, f"{plan.model_dump_json(indent=2)}\n", 0o600)
        click.echo(f"next: pyinfra-gvisor shard {file} N --records DIR, N from 1")
        return FINE
    if not yes:
        if not sys.stdin.isatty():
            raise Problem(
                "a rollout asks before it begins, and stdin is no terminal", todo="add -y"
            )
        click.confirm(f"Change {len(plan.hosts)} hosts?", abort=True)
    rollouts = _rollouts(works=True)
    rollouts.begin(plan)
    return _followed(rollouts, plan.id)


def _planned(
    inventory: str,
    *,
    release: str | None,
    sizes: str,
    max_failed: int,
    max_failed_all: int | None,
    absent: Sequence[str],
    soak_s: int,
    approve: bool,
    halt_if: str,
) -> Plan:
    refuse_mistakes(fleet_files(deploy_file("gvisor")), Path(existing(inventory)))
    data = (f'gvisor_release="{release}"',) if release else ()
    fleet = read_fleet(inventory, data)
    names = [name for name, declared in fleet.releases.items() if declared]
    if strangers := {*absent} - {*names}:
        raise Problem("--absent names no host of this rollout", got=min(strangers))
    if not names:
        raise Problem("no host of the inventory declares a runtime of gVisor")
    return Plan(
        id=new_id(datetime.now(UTC)),
        inventory=inventory,
        inputs=inputs(),
        data=data,
        hosts=tuple(
            PlannedHost(name=name, release=fleet.releases[name], settings=fleet.settings[name])
            for name in names
        ),
        without=tuple(name for name in fleet.releases if name not in names),
        waves=waves(names, fleet.canary, sizes, USUAL_SHARD),
        max_failed=max_failed,
        max_failed_all=max_failed if max_failed_all is None else max_failed_all,
        absent=tuple(absent),
        soak_s=soak_s,
        approve=approve,
        halt_if=halt_if,
    )


@rollout.command()
@click.argument("identity", metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(identity: str | None, *, as_json: bool) -> int:
    """Show where a rollout is. ID: default the newest."""
    rollouts = _rollouts()
    seen = rollouts.known(_chosen(rollouts, identity))
    lives = rollouts.lives(seen.executor)
    click.echo(status_json(seen) if as_json else "\n".join(status_lines(seen, lives=lives)))
    return _code(rollouts, seen.plan.id)


@rollout.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(*, as_json: bool) -> int:
    """List all rollouts, the newest first."""
    rollouts = _rollouts()
    every = [rollouts.known(identity) for identity in rollouts.every()]
    if as_json:
        click.echo(json.dumps([json.loads(status_json(seen)) for seen in every]))
    else:
        for seen in every:
            click.echo(status_lines(seen, lives=rollouts.lives(seen.executor))[0])
    return FINE


@rollout.command("next")
@click.argument("identity", metavar="[ID]", required=False)
def next_(identity: str | None) -> int:
    """Approve the wave that waits, and go on here."""
    rollouts = _rollouts(works=True)
    chosen = _chosen(rollouts, identity)
    approved = rollouts.known(chosen).now if rollouts.approve(chosen) else ""
    rollouts.resume(chosen)
    return _followed(rollouts, chosen, approved)


@rollout.command()
@click.argument("identity", metavar="ID")
def approve(identity: str) -> int:
    """Approve the wave that waits; who does the rollout goes on."""
    if not _rollouts().approve(identity):
        raise Problem("no wave of this rollout waits", got=identity, todo="see rollout status")
    return FINE


@rollout.command()
@click.argument("identity", metavar="[ID]", required=False)
def resume(identity: str | None) -> int:
    """Go on here with a rollout that was ended or stopped."""
    rollouts = _rollouts(works=True)
    chosen = _chosen(rollouts, identity)
    rollouts.resume(chosen)
    return _followed(rollouts, chosen)


@rollout.command()
@click.argument("identity", metavar="[ID]", required=False)
def stop(identity: str | None) -> int:
    """Begin no more hosts. Those that are being changed are finished."""
    rollouts = _rollouts()
    rollouts.stop(_chosen(rollouts, identity))
    return FINE


@rollout.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.argument("records", type=click.Path(path_type=Path))
def collect(plan: Path, records: Path) -> int:
    """Join the records that shards left in a directory."""
    read = read_plan(plan)
    ends = read_records(read, records)
    click.echo(told_records(ends))
    bad = [end for end in ends.values() if end.state != "proven"]
    if any(end.state != "unknown" for end in bad):
        return FAILED
    return PENDING if bad else FINE


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.argument("number", type=click.IntRange(1), metavar="N")
@click.option("--records", type=click.Path(path_type=Path), required=True, metavar="DIR")
def shard(plan: Path, number: int, records: Path) -> int:
    """
    Do part N of a rollout's plan.

    Changes its hosts, and writes a record of each. Runs anywhere, such as in a job of CI.
    """
    read = read_plan(plan)
    shards = [*read.shards]
    if number > len(shards):
        raise Problem("the plan has no such shard", got=number, todo=f"1 to {len(shards)}")
    if inputs() != read.inputs:
        raise Problem("files differ from those of the plan", todo="make a new plan")
    states = run_shard(read, shards[number - 1][1], records)
    for name, state in states.items():
        click.echo(f"{state:<11}  {name}")
    return FINE if {*states.values()} == {"proven"} else FAILED


def _rollouts(*, works: bool = False) -> Rollouts:
    """Return this machine's rollouts. Raises ``Problem`` without the library they need."""
    try:
        from pyinfra_gvisor.rollout.engine import (  # noqa: PLC0415 - takes a second
            Rollouts,
            database_exists,
        )
    except ModuleNotFoundError as error:
        todo = "install it: pip install 'pyinfra-gvisor[fleet]'"
        raise Problem("rollouts need a library", got=error.name, todo=todo) from None
    if not works and not database_exists():
        raise _NONE
    return Rollouts(works=works)


def _chosen(rollouts: Rollouts, identity: str | None) -> str:
    if identity:
        return identity
    every = rollouts.every()
    if not every:
        raise _NONE
    return every[0]


def _code(rollouts: Rollouts, identity: str) -> int:
    seen = rollouts.known(identity)
    if seen.is_done and not seen.is_going_on:
        return FINE
    return PENDING if seen.is_going_on else FAILED


def _followed(rollouts: Rollouts, identity: str, approved: str = "") -> int:
    """
    Show how a rollout goes on until it ends or waits; return the exit code.

    + approved: the step that was approved a moment ago
    """
    progress = Progress(click.echo)
    stopped = False
    while True:
        try:
            seen = rollouts.known(identity)
            progress.show(seen)
            running = "running" in seen.states.values()
            waits = seen.now.startswith("approval") and seen.now != approved and not running
            if (not seen.is_going_on and not running) or waits:
                break
            time.sleep(_POLL_S)
        except KeyboardInterrupt:
            if stopped:
                raise
            stopped = True
            rollouts.stop(identity)
            click.echo("stopping: hosts that are being changed are finished first", err=True)
    for line in progress.closing(seen):
        click.echo(line)
    code = _code(rollouts, identity)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the engine would wait for what is not to come
