"""The one form of every error message, so that an operator reads where, what and what to do."""

from __future__ import annotations

INPUT_LIMIT = 60


def cut(value: object, limit: int = INPUT_LIMIT) -> str:
    """``value`` on one line of at most ``limit`` characters, safe to print."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Problem(ValueError):
    """
    Something that an operator has to put right.

    ``str(problem)`` reads ``what is wrong, got what; what to do``. Whoever knows the module, the
    file and the host puts them in front with ``problem.at(...)``.
    """

    def __init__(self, what: str, *, got: object = None, todo: str = "") -> None:
        self.what = what
        self.got = got
        self.todo = todo
        text = what if got is None else f"{what}, got {cut(got)}"
        super().__init__(f"{text}; {todo}" if todo else text)

    def at(self, operation: str, file: str, host: str) -> str:
        """The whole line: ``operation: file on host: what is wrong, got what; what to do``."""
        return f"{operation}: {file} on {host}: {self}"
