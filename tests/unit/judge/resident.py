"""The resident judge as systemd starts it: with the listening socket as its third descriptor."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pyinfra_gvisor.dispatch.programs import judge_program

PYTHON = ("/usr/bin/python3", "-I", "-S", "-B", "-X", "utf8")


@contextmanager
def listening(at: Path) -> Iterator[socket.socket]:
    """A socket of systemd's."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(at))
        listener.listen(1024)
        yield listener
    at.unlink()


@contextmanager
def resident(
    at: Path, program: Path | None = None, word: str = "serve"
) -> Iterator[subprocess.Popen[bytes]]:
    """
    The resident judge at a socket.

    + program: its file; None writes one next to the socket
    + word: whom it serves
    """
    if program is None:
        program = at.with_name("judge-x")
        program.write_text(judge_program())
    with served(at, *PYTHON, program, word) as running:
        yield running


@contextmanager
def served(at: Path, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program of systemd's with a socket."""
    with listening(at) as listener:
        running = subprocess.Popen(
            command,
            pass_fds=(3,),
            preexec_fn=partial(os.dup2, listener.fileno(), 3),  # noqa: PLW1509 - as systemd does
            env={"PATH": os.environ["PATH"]},
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()
