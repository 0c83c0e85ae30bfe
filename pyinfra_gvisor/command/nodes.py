"""Commands that run a deploy on the nodes."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from pyinfra_gvisor.base.columns import (
    SEVERITY_COLOURS,
    WITHOUT_TERMINAL,
    as_laid_out,
    broken,
    terminal_columns,
)
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.controller import controller_lines
from pyinfra_gvisor.command.exit_codes import FAILED, FINE
from pyinfra_gvisor.command.running import (
    Nodes,
    fleets_or_own,
    on_nodes,
    pyinfra_arguments,
    run_pyinfra,
)
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.report.costs import Costs
from pyinfra_gvisor.report.earlier import read_fleet
from pyinfra_gvisor.report.host_result import HostResult
from pyinfra_gvisor.report.outlooks import AppOutlooks
from pyinfra_gvisor.report.results import (
    Examined,
    KeptGenerations,
    as_document,
    read_results,
)
from pyinfra_gvisor.report.summary import RESULT_DIR
from pyinfra_gvisor.report.terminal import fleet_lines
from pyinfra_gvisor.report.trials import Trial
from pyinfra_gvisor.rollout.plan import identity
from pyinfra_gvisor.trials.asked import LONGEST_S, NAME, SHORTEST_S, USUAL_S

JSON = click.option("--json", "as_json", is_flag=True, help="The result as JSON, on stdout.")
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask between plan and change.")
_DEPLOY = click.option(
    "--deploy",
    default="gvisor",
    show_default=True,
    metavar="NAME",
    help="A file of deploys/, such as gvisor or coolify.",
)


def _run(nodes: Nodes, deploy: str, *own: str) -> int:
    return run_pyinfra(pyinfra_arguments(nodes, deploy, *own))


def _shown(nodes: Nodes, deploy: str, kind: type[HostResult], *own: str, as_json: bool) -> int:
    """Run a deploy that looks, print what it found on each host, and return the exit code."""
    yes = () if "--dry" in nodes.options else ("-y",)  # with both, pyinfra looks at nothing
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-") as directory:
        result = {RESULT_DIR: directory}
        code = run_pyinfra(pyinfra_arguments(nodes, deploy, *own, *yes), environment=result)
        print_results(Path(directory), kind, as_json=as_json)
    return code


def print_results(directory: Path, kind: type[HostResult], *, as_json: bool) -> None:
    """Print what a run of a deploy left in a directory, for people or as JSON."""
    found = read_results(directory, kind)
    if as_json:
        click.echo(json.dumps(as_document(found)))
        return
    lines = [f"[{host.host}] {line}" for host in found for line in host.lines]
    _print_broken(lines)
    if text := kind.to_copy(found):
        click.echo(as_laid_out(text))  # never broken
    _print_broken(kind.closing(found))


def _print_broken(lines: Iterable[str]) -> None:
    """Print lines, broken between words where there is a terminal."""
    columns = terminal_columns()
    for line in map(as_laid_out, lines):
        for part in [line] if columns is None else broken(line, columns):
            click.echo(part)


def _change(nodes: Nodes, deploy: str, *own: str, yes: bool) -> int:
    arguments = pyinfra_arguments(nodes, deploy, *own, *(("-y",) if yes else ()))
    if not yes and not sys.stdin.isatty():
        raise Problem("pyinfra asks before a change, and stdin is no terminal", todo="add -y")
    return run_pyinfra(arguments)


@click.command()
@on_nodes
@JSON
def doctor(nodes: Nodes, *, as_json: bool) -> int:
    """
    Check this machine and the nodes. Changes nothing.

    Says what a deploy would refuse, with what to do about it.
    """
    for line in controller_lines():
        click.echo(line, err=True)
    return _shown(nodes, "doctor", Examined, as_json=as_json)


@click.command()
@on_nodes
@_DEPLOY
@JSON
def plan(nodes: Nodes, deploy: str, *, as_json: bool) -> int:
    """Show what apply would change. Changes nothing."""
    if as_json:
        from pyinfra_gvisor.command.drift import planned  # noqa: PLC0415 - loads much
        from pyinfra_gvisor.drift import printed  # noqa: PLC0415 - as above

        found = planned(nodes, deploy)
        code = FAILED if found.code == FAILED else FINE
        click.echo(printed.as_json(found, code=code))
        return code
    if {"-y", "--yes"} & {*nodes.options}:
        raise click.UsageError("with -y pyinfra does not look for changes: a plan needs no -y")
    return run_pyinfra(pyinfra_arguments(nodes, deploy, "--dry", "--diff"), plan=True)


@click.command()
@on_nodes
@_DEPLOY
@click.option("--proof", is_flag=True, help="Prove again, and show every check.")
@YES
def apply(nodes: Nodes, deploy: str, *, proof: bool, yes: bool) -> int:
    """Bring the nodes to what is declared, and prove it."""
    own = ("--data=gvisor_proof=always", "--data=gvisor_proof_rows=True") if proof else ()
    return _change(nodes, deploy, *own, yes=yes)


@click.command()
@on_nodes
@JSON
@click.option("-v", "--verbose", is_flag=True, help="Each finding, with what was seen.")
def audit(nodes: Nodes, *, as_json: bool, verbose: bool) -> int:
    """
    Check that apps run in gVisor. Changes nothing.

    Prints the findings by rule, the worst first. The result goes to stdout.
    """
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-") as directory:
        result = {RESULT_DIR: directory}
        code = run_pyinfra(pyinfra_arguments(nodes, "audit", "-y"), environment=result)
        found = read_fleet(Path(directory))
    if found is None:  # the run has said why
        return code
    columns = terminal_columns() or WITHOUT_TERMINAL
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        for line in fleet_lines(found, columns, each=verbose):
            word, space, rest = line.partition(" ")
            click.echo(f"{click.style(word, **SEVERITY_COLOURS.get(word, {}))}{space}{rest}")
    return code


@click.command()
@on_nodes
@JSON
def apps(nodes: Nodes, *, as_json: bool) -> int:
    """
    Say what will break in gVisor. Changes nothing.

    Compares each running container, as Docker and /proc show it, with rules that were tried. Rules
    do not see everything.
    """
    return _shown(nodes, fleets_or_own("apps"), AppOutlooks, as_json=as_json)


@click.command()
@on_nodes
@JSON
def measure(nodes: Nodes, *, as_json: bool) -> int:
    """
    Say what gVisor costs there. Changes nothing.

    Does the same work in containers of its own under runc and under each declared runtime, in
    rounds. Takes two minutes, on all hosts at once; a node proves nothing meanwhile.
    """
    return _shown(nodes, fleets_or_own("measure"), Costs, as_json=as_json)


@click.command("try")
@click.argument("host")
@click.argument("app")
@on_nodes
@click.option(
    "--seconds",
    type=click.IntRange(SHORTEST_S, LONGEST_S),
    default=USUAL_S,
    show_default=True,
    metavar="N",
    help="How long each of the two runs.",
)
@click.option("--control", is_flag=True, help="Also if it was not seen under runc.")
@JSON
def try_(nodes: Nodes, *, host: str, app: str, seconds: int, control: bool, as_json: bool) -> int:
    """
    Try a running container of HOST in gVisor. Leaves nothing on it.

    APP is its name or id. First a control runs under runc, then a twin in gVisor, alone: without
    its labels, ports, sockets, devices and networks, and with new volumes. Files and directories
    that it mounts read-only are mounted so. Container and data stay as they are. The watch and the
    audit wait meanwhile.
    """
    if nodes.limits:
        raise click.UsageError("try has no --limit: HOST says where")
    if not NAME.fullmatch(app):
        raise Problem("not the name or id of a container", got=app, todo="see docker ps there")
    own = [f"--data=trial_app={json.dumps(app)}", f"--data=trial_seconds={seconds}"]
    own += ["--data=trial_control=True"] if control else []
    limited = nodes._replace(limits=(host,))
    return _shown(limited, fleets_or_own("trial"), Trial, *own, as_json=as_json)


@click.command()
@on_nodes
def egress(nodes: Nodes) -> int:
    """
    List what the firewall blocked, or would block. Changes nothing.

    For each container: the destinations, and when it tried. With mode report of the last seven
    days, otherwise of the last hour.
    """
    return _run(nodes, fleets_or_own("egress"), "-y")


@click.command()
@on_nodes
@click.option(
    "--to", type=click.IntRange(min=1), metavar="N", help="A generation; default: the last one."
)
@click.option("--release", metavar="R", help="The last one with this release, on each host.")
@click.option("--rollout", metavar="ID", help="The one from before a rollout, on each host.")
@YES
def rollback(
    nodes: Nodes, to: int | None, release: str | None, rollout: str | None, *, yes: bool
) -> int:
    """
    Roll back to an earlier generation.

    That is daemon.json and the release as they were before a change. A number means another one on
    each host: give it for one host. A host that never had --release, or that --rollout did not
    change, is left.
    """
    if sum(map(bool, (to, release, rollout))) > 1:
        what = "--to, --release and --rollout are not for one rollback"
        raise Problem(what, todo="leave all but one of them out")
    own = [f"--data=gvisor_generation={to}"] if to else []
    own += [f'--data=rollback_release="{parse_release(release)}"'] if release else []
    own += [f'--data=rollback_rollout="{identity(rollout)}"'] if rollout else []
    return _change(nodes, "rollback", *own, yes=yes)


@click.command()
@on_nodes
@YES
def remove(nodes: Nodes, *, yes: bool) -> int:
    """
    Undo everything on the nodes.

    daemon.json becomes the original file to the byte, unless somebody else changed it.
    """
    return _change(nodes, "remove", yes=yes)


@click.command()
@on_nodes
@JSON
def generations(nodes: Nodes, *, as_json: bool) -> int:
    """List what each node can be rolled back to. Changes nothing."""
    return _shown(nodes, "generations", KeptGenerations, as_json=as_json)
