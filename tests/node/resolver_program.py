"""The resolver's program, started as systemd starts it, on any Python of this machine."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from pyinfra_gvisor.parts.resolver.files import DIRECTORY, program_files
from tests.node.namespaces import Ground
from tests.node.netns import RESOLVER, inside, until

# As systemd hands sockets over: sd_listen_fds(3).
SHIM = """
import os, sys
for at, given in enumerate(map(int, sys.argv[1].split(","))):
    os.dup2(given, 100 + at)
    os.dup2(100 + at, 3 + at)
    os.close(100 + at)
os.closerange(5, 100)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execv(sys.argv[2], sys.argv[2:])
"""


def pythons() -> list[str]:
    """Return the oldest and newest Python here that can run the program."""
    beside = Path(sys.base_prefix).parent.glob("3.*/bin/python3")
    look = "import asyncio, ctypes, sys; print(*sys.version_info[:2])"
    known: dict[tuple[int, ...], str] = {}
    for path in (sys.executable, "/usr/bin/python3", *map(str, beside)):
        ran = subprocess.run([path, "-c", look], capture_output=True, text=True, check=False)
        version = tuple(map(int, ran.stdout.split()))
        if version >= (3, 10):
            known.setdefault(version, path)
    return [known[version] for version in sorted({min(known), max(known)})]


class Program:
    """The resolver on the node of a ground, with its stderr."""

    def __init__(self, python: str, at: Ground, folder: Path) -> None:
        self.at, self._log = at, folder / "stderr"
        self._python, self._folder = python, folder
        write_program(folder)
        (folder / "resolv.conf").write_text("nameserver 192.0.2.1\n")

    def __enter__(self) -> "Program":
        command = [self._python, "-I", "-B", str(self._folder / "program")]
        options = [f"--docker={self._folder}/docker", f"--resolv-conf={self._folder}/resolv.conf"]
        sockets = inside(self.at.path, listening)
        given = ",".join(str(opened.fileno()) for opened in sockets)
        self._process = inside(
            self.at.path,
            lambda: subprocess.Popen(
                [sys.executable, "-c", SHIM, given, *command, *options],
                pass_fds=[opened.fileno() for opened in sockets],
                stderr=self._log.open("w"),
            ),
        )
        for opened in sockets:
            opened.close()
        assert until(lambda: self.at.docker.asked >= 2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        ended = self.end()
        if error is None:
            assert ended == 0
            assert "Traceback" not in self.said
            assert "never retrieved" not in self.said

    @property
    def said(self) -> str:
        """Return its stderr."""
        return self._log.read_text()

    @property
    def most_kib(self) -> int:
        """Return its peak memory in KiB."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if "VmHWM" in line)

    @property
    def files(self) -> list[str]:
        """Return its open files."""
        return [str(item.readlink()) for item in Path(f"/proc/{self._process.pid}/fd").iterdir()]

    def end(self) -> int:
        """Send SIGTERM and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)


def listening() -> list[socket.socket]:
    """Yield the sockets of the socket unit."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for opened in (datagrams, streams):
        opened.bind(RESOLVER)
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    streams.listen(1024)
    return [datagrams, streams]


def write_program(folder: Path) -> None:
    """Write the program as it is on a node."""
    for item in program_files():
        path = folder / "program" / Path(item.path).relative_to(DIRECTORY)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(item.text)
