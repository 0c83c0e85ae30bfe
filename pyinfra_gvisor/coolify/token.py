"""The token of Coolify's API: where it is read from, and a holder that does not show it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from pyinfra_gvisor.errors import Problem

VARIABLE = "COOLIFY_TOKEN"

_LIMIT_BYTES = 8192
_TOKEN = re.compile(r"[!-~]+")  # what may stand in a header; Coolify's are "1|" and letters
_WRITE = "write the token, as Coolify showed it when it was made, on its first line"


class NoToken(Problem):
    """There is no token, in neither place."""


class Token:
    """A token; only ``reveal()`` shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Raises ``Problem`` unless it can be a token."""
        if not _TOKEN.fullmatch(text):
            raise Problem("the token of Coolify's API is empty or has a blank in it", todo=_WRITE)
        self._text = text

    def __repr__(self) -> str:
        return "Token(…)"

    def __reduce__(self) -> str:
        raise TypeError("a token is not written anywhere")

    def reveal(self) -> str:
        """The token itself, for one header and nothing else."""
        return self._text

    def removed_from(self, text: str) -> str:
        """``text`` as it may be shown, whatever a server put into it."""
        return text.replace(self._text, "…")


def read_token(environment: Mapping[str, str], path: str | None) -> Token:
    """
    The token of Coolify's API.

    + environment: of this process; ``COOLIFY_TOKEN`` in it wins
    + path: a file whose first line it is, and which nobody else may read

    Raises ``NoToken`` if neither is there, ``Problem`` if that is no token, or a file that cannot
    be read or that others can.
    """
    if text := environment.get(VARIABLE, "").strip():
        return Token(text)
    if path is None:
        todo = f"set {VARIABLE} in the environment, or gvisor_coolify_token_file"
        raise NoToken("no token for Coolify's API", todo=todo)
    return Token(_first_line(Path(path).expanduser()))


def _first_line(path: Path) -> str:
    try:
        # O_NONBLOCK: a pipe without a writer would never open.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        what = f"the file of Coolify's token cannot be read: {why}"
        raise Problem(what, got=str(path), todo=_WRITE) from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise Problem("Coolify's token is not in a file", got=str(path), todo=_WRITE)
        if mode & 0o077:
            what = f"others can read the file of Coolify's token ({stat.S_IMODE(mode):o})"
            raise Problem(what, got=str(path), todo=f"chmod 600 {path}, and make a new token")
        lines = os.read(handle, _LIMIT_BYTES).splitlines() or [b""]
    finally:
        os.close(handle)
    try:
        return lines[0].decode("ascii").strip()
    except UnicodeDecodeError:
        return ""  # told as no token; the decoder's own error would show it
