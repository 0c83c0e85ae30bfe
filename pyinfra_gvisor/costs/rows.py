"""What is measured, and what it means for apps, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["µs", "ms", "ms/s", "MiB"]
SCALES: Final[dict[Unit, float]] = {"µs": 1e6, "ms": 1e3, "ms/s": 1e3, "MiB": 1.0}
"""What a value of ``attend.pl`` is multiplied by."""


@dataclass(frozen=True)
class Row:
    """
    Something that is measured.

    + is_added: it is next to nothing under runc, so that a ratio would say nothing
    """

    id: str
    title: str
    unit: Unit
    is_added: bool = False


@dataclass(frozen=True)
class Kind:
    """
    A kind of app.

    + does: what it does often; rows: the ids of what measures that
    + todo: what makes it cheaper, as an imperative
    """

    name: str
    does: str
    rows: tuple[str, ...]
    todo: str


ROWS: Final = (
    Row("container_start", "start a container", "ms"),
    Row("cpu", "compute", "µs"),
    Row("syscall", "a system call", "µs"),
    Row("memory", "8 MiB of new memory", "µs"),
    Row("stat", "look at a file (stat)", "µs"),
    Row("open", "open a file", "µs"),
    Row("read", "read 1 MiB of a file", "µs"),
    Row("create", "create a file, remove it", "µs"),
    Row("create_in_volume", "the same in a volume", "µs"),
    Row("fsync", "write to disk (fsync)", "µs"),
    Row("fork", "fork a process", "µs"),
    Row("exec", "start a program", "µs"),
    Row("loopback", "TCP round trip inside", "µs"),
    Row("small", "HTTP, 1 KiB", "µs"),
    Row("connection", "HTTP, new connection", "µs"),
    Row("large", "HTTP, 1 MiB", "µs"),
    Row("idle", "processor while idle", "ms/s", is_added=True),
    Row("resident", "memory while idle", "MiB", is_added=True),
)

KINDS: Final = (
    Kind(
        "PHP",
        "looks at its files and opens them for each request",
        ("stat", "open", "small"),
        "Turn on OPcache, and set opcache.validate_timestamps=0",
    ),
    Kind(
        "Node, Python, Java",
        "computes, and waits for the network",
        ("cpu", "memory", "small", "loopback"),
        "Keep connections to databases open",
    ),
    Kind(
        "PostgreSQL, MariaDB",
        "writes each commit to disk; PostgreSQL forks for each connection",
        ("fsync", "fork", "connection"),
        "Use a pool of connections",
    ),
    Kind(
        "static files, downloads",
        "opens files and sends them",
        ("open", "large"),
        "Have the web server keep files open, as nginx does with open_file_cache",
    ),
    Kind(
        "cron, shell scripts, CI",
        "starts many programs and writes many files",
        ("exec", "fork", "create"),
        "Use one program that does it all",
    ),
)
