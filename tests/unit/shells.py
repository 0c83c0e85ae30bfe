"""Shell scripts run as a node would run them, with paths and programs of the test's own."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import IO

from pyinfra_gvisor.base.scripts import PATH

# What a small Debian has; perl and docker are named where a test wants them.
TOOLS = [
    "base64",
    "basename",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dirname",
    "env",
    "find",
    "flock",
    "getconf",
    "grep",
    "gzip",
    "head",
    "id",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "readlink",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "timeout",
    "tr",
    "uname",
    "wc",
]


def toolbox(directory: Path, *more: str, without: Iterable[str] = ()) -> Path:
    """A directory for PATH with these programs and no others."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in {*TOOLS, *more} - set(without):
        found = shutil.which(name)
        assert found, f"{name} is not installed here"
        (directory / name).symlink_to(found)
    if os.geteuid() != 0:
        stub(directory, "chown", ":")  # tests need not be root
    return directory


def stub(directory: Path, name: str, text: str) -> None:
    """A program of the test's own."""
    path = directory / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def systemctl(directory: Path, log: Path, state: str, does: str = "") -> None:
    """A systemctl to which everything is in this state, and which writes down what it is asked."""
    answers = f"is-failed) [ {state} = failed ] ;; is-active) echo {state}; [ {state} = active ]"
    stub(directory, "systemctl", f'echo "$*" >> {log}\n{does}\ncase "$1" in {answers} ;; esac')


@contextmanager
def held(lock: Path) -> Iterator[IO[str]]:
    """A lock as another script has it; closing the file lets it go."""
    with lock.open("a") as file:
        flock(file, LOCK_EX)
        yield file


def replaced(text: str, changes: Mapping[str, str | Path]) -> str:
    """
    ``text`` with every key replaced, and ``stubbed``.

    A key that is not there is a test that tests nothing.
    """
    text = stubbed(text)
    for old, new in changes.items():
        assert old in text, f"the script does not hold {old}"
        text = text.replace(old, str(new))
    return text


def stubbed(text: str) -> str:
    """A script that finds programs in the PATH that it is given, such as a test's own."""
    return text.replace(f"PATH={PATH}\n", "PATH=$PATH\n")


def run(
    text: str, *arguments: str, path: Path | None = None, timeout_s: float = 30
) -> subprocess.CompletedProcess[str]:
    """The script run by sh."""
    environment = {"PATH": str(path) if path else os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        ["sh", "-c", stubbed(text) if path else text, "sh", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout_s,
    )
