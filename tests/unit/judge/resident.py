"""The resident judge as systemd starts it: with listening sockets as its first descriptors."""

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
    at: Path, program: Path | None = None, *, docker: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """
    The resident judge at a socket.

    + program: its file; None writes one next to the socket
    + docker: where it answers dockerd; None: nowhere
    """
    if program is None:
        program = at.with_name("judge-x")
        program.write_text(judge_program())
    with served((at, *([docker] if docker else [])), *PYTHON, program, "serve") as running:
        yield running


@contextmanager
def served(sockets: Sequence[Path], *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program of systemd's with sockets."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(listening(at)).fileno() for at in sockets]
        first = [3 + number for number in range(len(listeners))]

        def as_systemd_does() -> None:
            for there, wanted in zip([os.dup(item) for item in listeners], first, strict=True):
                os.dup2(there, wanted)

        running = subprocess.Popen(
            command,
            pass_fds=first,
            preexec_fn=as_systemd_does,  # noqa: PLW1509
            env={"PATH": os.environ["PATH"], "LISTEN_FDS": str(len(first))},
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()
