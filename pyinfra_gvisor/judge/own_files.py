"""Files that the judge keeps in a directory of its own."""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

_ID = re.compile("[0-9a-f]{64}")
_YOUNG_S = 600  # the container of such a file may be about to be created


def is_own(path: str, mode: int) -> bool:
    """
    Return True if only the user who runs this can have made the file or directory at a path.

    + mode: its type and mode
    """
    try:
        found = os.lstat(path)
    except OSError:
        return False
    is_single = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
    return found.st_mode == mode and found.st_uid == os.geteuid() and is_single


def write_over(path: str, text: str) -> None:
    """Write a file that only its owner can read, completely or not at all."""
    new = Path(f"{path}.new")
    new.unlink(missing_ok=True)
    data = text.encode("utf-8", "surrogateescape")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    new.replace(path)


def collect(directory: str, root: str) -> None:
    """
    Remove files about containers that Docker has removed.

    + root: Docker's data root
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208 - a directory may have thousands
    except OSError:
        return
    for name in names:
        if not _ID.fullmatch(name) or os.path.lexists(f"{root}/containers/{name}"):
            continue
        path = Path(directory, name)
        try:
            if path.lstat().st_mtime < time.time() - _YOUNG_S:
                path.unlink()
        except OSError:  # removed meanwhile
            continue
