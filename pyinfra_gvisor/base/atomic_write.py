"""Write a file on the controller completely, or leave it unchanged."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: str, mode: int) -> None:
    """
    Write ``text`` to a temporary file in the same directory, then rename that file to ``path``.

    + mode: the file's permissions, such as ``0o644``

    Raises ``OSError`` if the file cannot be written; then ``path`` is unchanged.
    """
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
            os.fchmod(handle, mode)
            file.write(text)
            file.flush()
            os.fsync(handle)
        Path(temporary).replace(path)
    finally:
        if temporary:
            with suppress(FileNotFoundError):  # the rename has moved it
                Path(temporary).unlink()
