"""Where files are on the node, whatever path names them: by links, and by other mounts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_LONGEST = 4096  # bytes of a path: PATH_MAX in linux/limits.h
_ESCAPE = re.compile(r"\\([0-7]{3})")


def below(path: str, directory: str) -> str | None:
    """Return the rest of a path after a directory; None if the path is not in that directory."""
    path, directory = path.rstrip("/"), directory.rstrip("/")
    if path == directory:
        return ""
    return path[len(directory) :] if path.startswith(f"{directory}/") else None


def inode(path: str) -> tuple[int, int] | None:
    """Return device and inode of the file at a path; None if there is none."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def real(path: str) -> str | None:
    """Return a path without symbolic links; None if there is no such file."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)  # opens any file and never blocks: open(2)
    except (OSError, ValueError):
        return None
    try:
        return str(Path(f"/proc/self/fd/{opened}").readlink())
    finally:
        os.close(opened)


def future(path: str) -> str | None:
    """Return where a directory would be that is made at this path; None if none can be."""
    parts, missing = path.split("/"), [""]
    if parts[0] or ".." in parts or len(path) > _LONGEST:
        return None
    while (found := real("/".join(parts) or "/")) is None:
        missing.insert(1, parts.pop())
    return found.rstrip("/") + "/".join(missing)


@dataclass(frozen=True)
class Mounted:
    """
    A mount of the node: proc_pid_mountinfo(5).

    ``root`` is its directory in the file system. ``options`` are those of this mount.
    """

    point: str
    device: str
    root: str
    kind: str
    options: tuple[str, ...] = ()

    def inner(self, path: str) -> str:
        """Return where a path without symbolic links is in the file system of this mount."""
        return self.root.rstrip("/") + (below(path, self.point) or "")


@dataclass(frozen=True)
class Places:
    """The mounts of the node, read once for a decision from a file of the kernel."""

    table: str = "/proc/self/mountinfo"

    @cached_property
    def mounts(self) -> tuple[Mounted, ...]:
        """Return every mount, in the order in which they were made."""
        # As bytes: the kernel does not escape \r, which ends no line.
        table = Path(self.table).read_bytes().decode("utf-8", "surrogateescape")
        return tuple(_mounted(line) for line in table.split("\n") if line)

    def mount_of(self, path: str) -> Mounted | None:
        """Return the mount that a path without symbolic links is on."""
        found = [item for item in self.mounts if below(path, item.point) is not None]
        longest = max((len(item.point) for item in found), default=0)
        return next((item for item in reversed(found) if len(item.point) == longest), None)

    def same_as(self, path: str) -> tuple[str, ...]:
        """Return all paths on the node that lead to the file at a path without links."""
        on = self.mount_of(path)
        if on is None:
            return (path,)
        return tuple(sorted({path, *self._others(path, on)}))

    def _others(self, path: str, on: Mounted) -> Iterator[str]:
        inner, own = on.inner(path), inode(path)
        for mount in self.mounts:
            rest = below(inner, mount.root) if mount.device == on.device else None
            if rest is None:
                continue
            other = mount.point.rstrip("/") + rest or "/"
            if inode(other) == own:
                yield other

    def address(self, path: str) -> str | None:
        """Return device and path in its file system of a path without links, as mounts tell."""
        on = self.mount_of(path)
        return f"{on.device} {on.inner(path)}" if on else None


def _mounted(line: str) -> Mounted:
    words = line.split(" ")
    kind = line.partition(" - ")[2].split(" ")[0]
    options = tuple(words[5].split(","))
    return Mounted(unescaped(words[4]), words[2], unescaped(words[3]), kind, options)


def unescaped(text: str) -> str:
    """Return a text of the kernel with its escapes as characters: proc_pid_mountinfo(5)."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
