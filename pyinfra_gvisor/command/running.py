"""Run pyinfra with the files of a fleet, after its command was printed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.redaction import shown_words
from pyinfra_gvisor.command.exit_codes import FAILED, FINE, INTERRUPTED, SIGNALLED
from pyinfra_gvisor.judge.permitted_run import SHORTEST_REASON
from pyinfra_gvisor.planning.file_mistakes import refuse_mistakes
from pyinfra_gvisor.report.summary import DECLINED_PATH, RESULT_DIR

INVENTORY = "inventories/run.py"
MOST_QUESTIONS = 1000


class Nodes(NamedTuple):
    """
    Where a command works: the inventory, hosts or groups of it (empty for all), and further options
    for pyinfra.
    """

    inventory: str
    limits: tuple[str, ...]
    options: tuple[str, ...]


def on_nodes(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--inventory``, ``--limit`` and the options after ``--``, as ``nodes``."""

    def run(inventory: str, limit: tuple[str, ...], options: tuple[str, ...], **own: object) -> int:
        if options and not options[0].startswith("-"):
            raise click.UsageError(
                f"unexpected argument {options[0]}. Choose hosts with --limit, "
                "and write options of pyinfra after --"
            )
        return function(Nodes(inventory, limit, options), **own)

    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for decorate in (
        click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS…]"),
        click.option("--limit", multiple=True, metavar="PATTERN", help="Hosts or groups."),
        click.option(
            "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
        ),
    ):
        run = decorate(run)
    return run


def deploy_file(name: str) -> str:
    """
    Return the path of a deploy in the current directory.

    + name: such as ``gvisor``, or the path of a deploy file

    Raises ``Problem`` if there is no such file.
    """
    return existing(name if name.endswith(".py") else f"deploys/{name}.py")


def fleets_or_own(deploy: str) -> str:
    """Return the path of the fleet's deploy file; this package's own for a fleet that has none."""
    if Path(path := f"deploys/{deploy}.py").exists():
        return path
    found = find_spec(f"pyinfra_gvisor.deploys.{deploy}")
    return path if found is None or found.origin is None else found.origin


def pyinfra_arguments(nodes: Nodes, deploy: str, *own: str) -> list[str]:
    """
    Return the arguments of pyinfra for a run.

    + deploy: the name of a deploy, such as ``gvisor``, or the path of its file

    Raises ``Problem`` if the current directory has no such inventory or deploy, or if one of its
    files has a mistake.
    """
    if any(not limit.strip() for limit in nodes.limits):
        raise Problem("--limit is empty", todo="write a host or a group, or leave it out for all")
    limits = (f"--limit={limit}" for limit in nodes.limits)
    is_file = not nodes.inventory.startswith("@")
    inventory = existing(nodes.inventory) if is_file else nodes.inventory
    path = deploy_file(deploy)
    refuse_mistakes(fleet_files(path), Path(inventory) if is_file else None)
    return [inventory, path, *own, *limits, *nodes.options]


def fleet_files(*deploys: str) -> list[Path]:
    """Return the files of the fleet, beside its inventory, that pyinfra runs for these deploys."""
    return [*map(Path, (*deploys, "config.py")), *sorted(Path("group_data").glob("*.py"))]


def check_reason(reason: str) -> None:
    """Raise ``Problem`` if a reason is shorter than settings and nodes take it."""
    if len(reason.strip()) < SHORTEST_REASON:
        todo = f"write {SHORTEST_REASON} characters or more"
        raise Problem("--reason is too short", got=reason, todo=todo)


def existing(path: str) -> str:
    """Return ``path``; raise ``Problem`` if the current directory has no such file."""
    if not Path(path).is_file():
        todo = "change to the directory of your fleet, or begin one: pyinfra-gvisor init HOST…"
        raise Problem(f"{path} does not exist in {Path.cwd()}", todo=todo)
    return path


def run_pyinfra(
    arguments: Sequence[str],
    *,
    plan: bool = False,
    environment: Mapping[str, str] | None = None,
) -> int:
    """
    Print the command of pyinfra without its secrets, run it, and return 0 if it succeeds, 130 after
    Ctrl-C, 143 after SIGTERM, else 1.

    + plan: the run only plans. It goes on after a host that failed, and ignores ``PYINFRA_YES``,
      with which pyinfra would not look for changes
    + environment: further variables for the run

    pyinfra returns 2 for a wrong command line, and 0 if somebody declines at its prompt. Here 2 has
    another meaning, and the other is a failure.
    """
    click.echo(f"$ pyinfra {shlex.join(shown_words(arguments))}", err=True)
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-") as directory:
        declined = Path(directory, "declined")
        given = {**os.environ, DECLINED_PATH: str(declined)}
        given.pop(RESULT_DIR, None)  # only for the run of which the result is printed here
        given |= environment or {}
        if plan:
            given.pop("PYINFRA_YES", None)
        # -P: as with the program "pyinfra", no file of the current directory hides a module.
        command = [sys.executable, "-P", "-m", "pyinfra", *arguments]
        asks = plan and not sys.stdin.isatty()
        with subprocess.Popen(
            command, env=given, stdin=subprocess.PIPE if asks else None
        ) as process:
            if process.stdin:  # pyinfra asks whether to go on after a host that failed: Enter
                with suppress(BrokenPipeError), process.stdin as answers:
                    answers.write(b"\n" * MOST_QUESTIONS)
            code = _ended(process)
        if code > SIGNALLED:
            return code
        return FAILED if code or declined.exists() else FINE


def _ended(process: subprocess.Popen[bytes]) -> int:
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    interrupted = False
    try:
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # the terminal has sent Ctrl-C to pyinfra, too
                interrupted = True
        return INTERRUPTED if interrupted else process.returncode
    finally:
        signal.signal(signal.SIGTERM, before)
