"""The form of all error messages: where, what is wrong, what was found, what to do."""

from __future__ import annotations

INPUT_LIMIT = 60


def cut(value: object, limit: int = INPUT_LIMIT) -> str:
    """Return ``value`` on one line, safe to print, of at most ``limit`` characters."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def sentence(text: str) -> str:
    """Return ``text`` with a full stop at its end, unless it ends in a mark of its own."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def capitalized(text: str) -> str:
    """Return ``text`` with a capital at its beginning, and the rest as it is."""
    return f"{text[:1].upper()}{text[1:]}"


class Problem(ValueError):
    """
    A problem that the operator has to solve.

    ``str(problem)`` reads ``what is wrong, got what; what to do``. ``problem.at(...)`` adds the
    operation, the file and the host before this text.
    """

    def __init__(self, what: str, *, got: object = None, todo: str = "") -> None:
        self.what = what
        self.got = got
        self.todo = todo
        text = what if got is None else f"{what}, got {cut(got)}"
        super().__init__(f"{text}; {todo}" if todo else text)

    def at(self, operation: str, file: str, host: str) -> str:
        """Return ``operation: file on host: what is wrong, got what; what to do``."""
        return f"{operation}: {file} on {host}: {self}"
