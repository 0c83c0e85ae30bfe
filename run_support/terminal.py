"""How messages look on a terminal: broken between words, and with colours on outcomes."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from pyinfra import logger
from pyinfra.api import Host
from pyinfra.api.output import format_text

from pyinfra_gvisor.base.columns import (
    INDENT,
    SEVERITY_COLOURS,
    broken,
    left_of,
    plain,
    terminal_columns,
    width,
)

_COLOURS: Final[dict[str, dict[str, Any]]] = {
    "ok": {"fg": "green"},
    "accepted": {"fg": "yellow"},
    "n/a": {"dim": True},
    "NOT PROVEN": {"fg": "red"},
    **SEVERITY_COLOURS,
}


class Wrapped(logging.Formatter):
    """
    Formats as another formatter, and breaks lines between words where there is a terminal.

    Without a terminal a message stays on one line, for who searches a log.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the text, for the columns that the terminal has now."""
        text = self._inner.format(record)
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            text = plain(text)
        columns = terminal_columns()
        return text if columns is None else "\n".join(broken(text, columns))


def wrap_messages(brief: logging.Filter | None = None) -> None:
    """
    Have pyinfra's command line print every message of this run so; nothing outside of it.

    + brief: tells what to leave out; None: nothing
    """
    for handler in logger.handlers:
        ours = isinstance(handler.formatter, Wrapped)
        if type(handler).__module__ == "pyinfra_cli.log" and handler.formatter and not ours:
            handler.setFormatter(Wrapped(handler.formatter))
            if brief:
                handler.addFilter(brief)


def room(host: Host) -> int:
    """Return the columns for text that is said about a host."""
    return left_of(INDENT + width(host.print_prefix))


def coloured(text: str, word: str) -> str:
    """Return ``text`` in the colour of ``word``: an outcome or a severity."""
    return format_text(text, **_COLOURS[word]) if word in _COLOURS else text


def outcome_coloured(line: str) -> str:
    """Return a line with the word in colour that it ends with, if that is an outcome."""
    for word in ("ok", "accepted", "n/a", "NOT PROVEN"):
        if line.endswith(f"  {word}"):
            return line.removesuffix(word) + coloured(word, word)
    return line


def severity_coloured(line: str) -> str:
    """Return a line with the word in colour that it begins with, if that is a severity."""
    word, space, rest = line.partition(" ")
    return f"{coloured(word, word)}{space}{rest}"
