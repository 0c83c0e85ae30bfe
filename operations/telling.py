"""What an operation says before it acts, and how it refuses: one host fails, others go on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from difflib import unified_diff

from pyinfra import host, logger, state
from pyinfra.api import FunctionCommand, Host, State
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.output import format_text

from pyinfra_gvisor.errors import Problem

_NUMBER = "\0"


def tell(line: str, level: Callable[[str], None] = logger.info) -> None:
    """Say what is about to be done, once: when it is prepared, or else when it is done."""
    if not state.is_executing or not state.should_check_for_changes():
        host.log(line, level)


def tell_diff(
    path: str,
    before: str | None,
    after: str | None,
    *,
    shown: Callable[[str], str] = str,
) -> None:
    """
    With ``--diff``, say what becomes of the text of a file.

    + before, after: None where there is no such file
    + shown: turns a text into what people may see, line for line. Lines are compared as they are,
      so that a password that changes is seen to change
    """
    if not state.config.DIFF:
        return
    numbers: dict[str, int] = {}
    lines = unified_diff(
        _numbered(before or "", shown, numbers),
        _numbered(after or "", shown, numbers),
        path if before is not None else "/dev/null",
        path if after is not None else "/dev/null",
        lineterm="",
    )
    colours = {"+": "green", "-": "red"}
    for numbered in lines:
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

    + operation: the operation's name, such as ``docker.daemon_json``
    + file: the file or thing that it is about
    + unreadable: the node's state could not be read, which has been said already
    """
    if unreadable or problem is None:
        problem = Problem("the node's state is not known", todo="see the error above")
    host.log(problem.at(operation, file, host.name), logger.error)
    yield FunctionCommand(_fail, (), {})


def _fail(state: State, host: Host) -> bool:
    """The failure itself; the reason is told when it is found, in a dry run too."""
    return False
