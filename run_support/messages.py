"""What an operation says before it acts, and how it refuses: one host fails, others go on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from difflib import unified_diff

from pyinfra import host, logger, state
from pyinfra.api import FunctionCommand, Host, State
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.output import format_text

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.facts.asking import why_unread
from pyinfra_gvisor.run_support.ending import is_refused
from pyinfra_gvisor.run_support.look import look_at
from pyinfra_gvisor.run_support.reports import ends_after_plan

_NUMBER = "\0"


def tell(line: str, level: Callable[[str], None] = logger.info) -> None:
    """Say once what is about to be done: while it is prepared, or else while it is done."""
    if not state.is_executing or not state.should_check_for_changes():
        say(format_text(line, "yellow") if level == logger.warning else line, level)


def say(line: str, level: Callable[[str], None] = logger.info) -> None:
    """Say it now, or keep it while operations are only asked what they would do."""
    if look := look_at(host):
        look.said.append((line, level))
    else:
        host.log(line, level)


def tell_detail(line: str) -> None:
    """Say what nobody has to know who did not ask for it: see ``shows_details``."""
    if shows_details():
        tell(line)


def shows_details() -> bool:
    """Return True if each file and each reason of a plan is to be said: ``--dry`` or ``--diff``."""
    return state.config.DIFF or ends_after_plan(host.state)


def tell_diff(
    path: str,
    before: str | None,
    after: str | None,
    *,
    shown: Callable[[str], str] = str,
    most: int | None = None,
) -> None:
    """
    Show how the text of a file changes, with ``--diff``.

    + before, after: the text; None where there is no such file
    + shown: returns a text without secrets, line for line. Lines are compared with their secrets,
      so that a changed password is shown as a change
    + most: lines of a new file that are shown without ``-v``; None for all
    """
    if not state.config.DIFF:
        return
    lines = len((after or "").splitlines())
    is_long = before is None and most is not None and lines > most
    if is_long and not state.print_noop_info:
        tell(f"+++ {path}: a new file of {lines} lines, which -v shows")
        return
    numbers: dict[str, int] = {}
    changes = unified_diff(
        _numbered(before or "", shown, numbers),
        _numbered(after or "", shown, numbers),
        path if before is not None else "/dev/null",
        path if after is not None else "/dev/null",
        lineterm="",
    )
    colours = {"+": "green", "-": "red"}
    for numbered in changes:
        line = numbered.partition(_NUMBER)[0]
        tell(format_text(line, colours[line[0]]) if line[0] in colours else line)


def _numbered(text: str, shown: Callable[[str], str], numbers: dict[str, int]) -> list[str]:
    """Return the lines to show, each with a number that only equal lines share."""
    pairs = zip(_lines(text), _lines(shown(text)), strict=True)
    return [
        f"{safe.rstrip(chr(13))}{_NUMBER}{numbers.setdefault(line, len(numbers))}"
        for line, safe in pairs
    ]


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def refusal(
    operation: str, file: str, problem: Problem | None, *, unreadable: bool = False
) -> Generator[PyinfraCommand, None, None]:
    """
    Fail this host and no other when the operation is executed; raising would end the whole run.
    A dry run executes nothing: the host fails while the operation is prepared, for the exit code.

    + operation: the operation's name, such as ``docker.daemon_json``
    + file: the file, unit or release that the problem is about
    + unreadable: the node's state could not be read; pyinfra has said why
    """
    if look_at(host):
        yield FunctionCommand(_fail, (), {})  # the operation itself says why
        return
    if unreadable or problem is None:
        problem = why_unread(host) or Problem(
            "the node's state is not known", todo="see the error above"
        )
    host.log(format_text(problem.at(operation, file, host.name), "red"), logger.error)
    is_refused(host, str(problem))
    if ends_after_plan(host.state):
        fail_now(host)
    yield FunctionCommand(_fail, (), {})


def fail_now(host: Host) -> None:
    """Fail a host outside of a command: in a deploy, or while operations are only prepared."""
    # pyinfra's `host` stands for the host of the moment; what fails is the host itself.
    failed = {host.inventory.get_host(host.name)} - host.state.failed_hosts
    if failed:
        host.state.fail_hosts(failed)


def _fail(state: State, host: Host) -> bool:
    """Fail the host. The reason was said when it was found, in a dry run too."""
    return False
