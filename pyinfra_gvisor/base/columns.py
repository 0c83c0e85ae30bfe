"""How wide the terminal is, and how a line that is wider continues on the next one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

WITHOUT_TERMINAL = 100
"""Columns of what is laid out, such as a table, where no terminal says how many there are."""
INDENT = 4
"""Columns that pyinfra writes before each message: LogFormatter in pyinfra_cli/log.py."""

SEVERITY_COLOURS: Final[dict[str, dict[str, Any]]] = {
    "CRITICAL": {"fg": "red", "bold": True},
    "HIGH": {"fg": "red"},
    "MEDIUM": {"fg": "yellow"},
    "UNKNOWN": {"fg": "red"},
    "waived": {"dim": True},
}
"""How the first word of a line looks, as ``click.style`` takes it."""

_CODES = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
# Of what stands before a message: pyinfra's indentation, the host's name, our own indentation.
_BEFORE = re.compile(r" *(?:\[[^\]]*\] +)?")
_HANGING: Final = 2  # columns that the second line of a message stands further in
_SHORTEST = 24  # columns: with fewer, nothing can be laid out


def is_terminal() -> bool:
    """Return True if messages go to a terminal."""
    return sys.stderr.isatty()


def terminal_columns() -> int | None:
    """
    Return the columns of the terminal that messages go to; None if they go to no terminal.

    The variable ``COLUMNS`` goes before what the terminal says, and counts without a terminal too.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return max(int(given), _SHORTEST)
    try:
        found = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal, or no file at all
        return None
    return max(found, _SHORTEST) if found else None


def left_of(taken: int) -> int:
    """
    Return the columns for text that stands after ``taken`` columns.

    Without a terminal these are always ``WITHOUT_TERMINAL``.
    """
    columns = terminal_columns()
    return WITHOUT_TERMINAL if columns is None else max(columns - taken, _SHORTEST)


def plain(text: str) -> str:
    """Return ``text`` without colours."""
    return _CODES.sub("", text)


def printable(text: str) -> str:
    """Return ``text`` as one line that cannot control the terminal: a node or a tenant wrote it."""
    return as_laid_out(" ".join(text.split()))


def as_laid_out(line: str) -> str:
    """Return a line with its blanks, and without what controls the terminal."""
    return "".join(char if char.isprintable() else "?" for char in line.expandtabs(4))


def width(text: str) -> int:
    """Return the columns that ``text`` takes, without its colours."""
    return len(plain(text))


def continued(line: str, columns: int, *, indent: int = 0) -> list[str]:
    """
    Return ``line`` as lines of at most ``columns``, broken between words only.

    A path or URL that is longer than a line is shortened in its middle. Any other word of that
    length has a line of its own, and is wider.

    + indent: columns of space before each line but the first
    """
    if width(line) <= columns:
        return [line]
    lines = [""]
    for space, word in re.findall(r"( *)([^ ]+)", line):
        shown = shortened(word, columns - indent)
        if not width(lines[-1]) or width(lines[-1] + space + shown) <= columns:
            lines[-1] += space + shown
        else:
            lines.append(" " * indent + shown)
    return lines


def broken(text: str, columns: int) -> list[str]:
    """Return the lines of ``text`` as ``continued`` does, below the words after a host's name."""
    return [
        part for line in text.split("\n") for part in continued(line, columns, indent=_indent(line))
    ]


def _indent(line: str) -> int:
    before = _BEFORE.match(plain(line))
    return (before.end() if before else 0) + _HANGING


def some(names: Sequence[str], most: int = 2) -> str:
    """Return the first names, and how many are left."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")


def shortened(word: str, columns: int, *, any_word: bool = False) -> str:
    """
    Return a path or URL with ``…`` for its middle if it is too long; else the word itself.

    + any_word: do the same with any other word, such as a version
    """
    if width(word) <= columns or plain(word) != word or not (any_word or "/" in word):
        return word
    end = (columns - 1) * 2 // 3  # what tells paths apart stands at their end
    return f"{word[: columns - 1 - end]}…{word[-end:]}"
