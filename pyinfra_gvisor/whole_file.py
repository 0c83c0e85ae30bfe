"""A file on the controller that is written whole or stays as it was."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: str, mode: int) -> None:
    """
    Put ``text`` into ``path``, by way of a file beside it.

    + mode: the file's permissions, such as ``0o644``

    Raises ``OSError`` if that cannot be; what was there is as it was then.
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
            with suppress(FileNotFoundError):  # it is gone once it took the place
                Path(temporary).unlink()
