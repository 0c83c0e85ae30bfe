"""Read the token of Coolify's API, and hold it so that it is never shown by accident."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem

VARIABLE = "COOLIFY_TOKEN"

_LIMIT_BYTES = 8192
_TOKEN = re.compile(r"[!-~]+")  # valid in a header; Coolify's tokens are "1|" and letters
_WRITE = "write the token that Coolify showed when it was created on the first line of the file"


class NoToken(Problem):
    """No token was given, neither in the environment nor as a file."""


class Token:
    """A token; only ``reveal()`` shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Raise ``Problem`` if the text cannot be a token."""
        if not _TOKEN.fullmatch(text):
            raise Problem("the token of Coolify's API is empty or contains a space", todo=_WRITE)
        self._text = text

    def __repr__(self) -> str:
        return "Token(…)"

    def __reduce__(self) -> str:
        raise TypeError("a token is not written anywhere")

    def reveal(self) -> str:
        """Return the token itself. Use it only for the header of a request."""
        return self._text

    def removed_from(self, text: str) -> str:
        """Return ``text`` without the token, which a server may have put into it."""
        return text.replace(self._text, "…")


def read_token(environment: Mapping[str, str], path: str | None) -> Token:
    """
    Return the token of Coolify's API.

    + environment: of this process; its ``COOLIFY_TOKEN`` wins
    + path: a file with the token on its first line, readable only by its owner

    Raises ``NoToken`` if neither is given, ``Problem`` if it is not a token, or if the file cannot
    be read or other users can read it.
    """
    if text := environment.get(VARIABLE, "").strip():
        return Token(text)
    if path is None:
        todo = f"set {VARIABLE} in the environment, or gvisor_coolify_token_file"
        raise NoToken("no token for Coolify's API is given", todo=todo)
    return Token(_first_line(Path(path).expanduser()))


def _first_line(path: Path) -> str:
    try:
        # O_NONBLOCK: a pipe without a writer would never open.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        what = f"the file with Coolify's token cannot be read: {why}"
        raise Problem(what, got=str(path), todo=_WRITE) from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            what = "the path of Coolify's token is not a regular file"
            raise Problem(what, got=str(path), todo=_WRITE)
        if mode & 0o077:
            what = f"others can read the file with Coolify's token (mode {stat.S_IMODE(mode):o})"
            todo = f"run `chmod 600 {path}`, and create a new token"
            raise Problem(what, got=str(path), todo=todo)
        lines = os.read(handle, _LIMIT_BYTES).splitlines() or [b""]
    finally:
        os.close(handle)
    try:
        return lines[0].decode("ascii").strip()
    except UnicodeDecodeError:
        return ""  # Refused as an empty token; the decoder's own error would show the text.
