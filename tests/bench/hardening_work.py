"""
Do work that a sandbox makes slower; print the seconds for each kind, as JSON.

Not below ``/tmp``: there gVisor has its own file system in memory.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

DIRECTORY, LARGE = Path("/work"), Path("/large")
FILES = 1000


def system_calls() -> None:
    for _ in range(300_000):
        os.getppid()


def make_files() -> None:
    DIRECTORY.mkdir()
    for number in range(FILES):
        (DIRECTORY / str(number)).write_bytes(b"x" * 1024)


def open_files() -> None:
    for number in range(FILES):
        (DIRECTORY / str(number)).read_bytes()


def remove_files() -> None:
    for number in range(FILES):
        (DIRECTORY / str(number)).unlink()
    DIRECTORY.rmdir()


def write_much() -> None:
    with LARGE.open("wb") as file:
        for _ in range(256):
            file.write(b"x" * (1 << 20))


def read_much() -> None:
    with LARGE.open("rb") as file:
        while file.read(1 << 16):
            pass
    LARGE.unlink()


JOBS: dict[str, Callable[[], None]] = {
    "300,000 system calls, s": system_calls,
    "make 1,000 files of 1 KiB, s": make_files,
    "open and read them, s": open_files,
    "remove them, s": remove_files,
    "write 256 MiB, s": write_much,
    "read 256 MiB, s": read_much,
}
took_s = {}
for name, job in JOBS.items():
    began_s = time.perf_counter()
    job()
    took_s[name] = time.perf_counter() - began_s
print(json.dumps(took_s))
