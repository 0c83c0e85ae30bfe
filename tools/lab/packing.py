"""Pack files for a node into one archive."""

from __future__ import annotations

import io
import tarfile
from time import time

from tools.lab.node import Files


def packed(files: Files) -> bytes:
    """Return a tar of these files, owned by root, to unpack at ``/``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (data, mode) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(data)
            member.mode = mode
            member.mtime = int(time())
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
