"""A node of a lab: it behaves like a server and is reached over SSH."""

import io
import socket
import tarfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from time import monotonic, sleep, time
from typing import ClassVar, NamedTuple

from tools.lab.spec import LabError, NodeSpec

Files = dict[str, tuple[bytes, int]]
"""Content and mode of files, by path."""

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as Docker has it
SSH_PORT = "22/tcp"
SSH_USER = "debian"
ANSWER_TIMEOUT_S = 15

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
_ANSWERS = f"timeout {ANSWER_TIMEOUT_S} docker version >/dev/null && cat {_HOST_KEY}"


class Ran(NamedTuple):
    """How a command in a node ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class LabNode(ABC):
    """A node that has answered. Each kind of node implements the abstract methods."""

    name: str
    spec: NodeSpec
    ssh_port: int
    key: Path
    known_hosts: Path

    ready_timeout_s: ClassVar[float]
    """Seconds for a boot until sshd and dockerd answer, on a busy machine."""
    how_to_look: ClassVar[str]
    """Where to look if a node does not boot; ``{name}`` is the node's name."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Return the node's own IPv4 address."""

    @property
    @abstractmethod
    def state(self) -> str:
        """Return ``running``, or another word."""

    @abstractmethod
    def run(self, command: list[str], stdin: bytes = b"") -> CompletedProcess[bytes]:
        """Run a command as root in the node. Raise ``LabError`` if it could not be started."""

    @abstractmethod
    def kill(self) -> None:
        """Cut the power."""

    @abstractmethod
    def switch_on(self) -> None:
        """Start booting."""

    def exec(self, *command: str) -> Ran:
        """Run a command as root in the node, with empty standard input."""
        ran = self.run(list(command))
        return Ran(ran.returncode, *(t.decode(errors="replace") for t in (ran.stdout, ran.stderr)))

    def read(self, path: str) -> bytes:
        """Return the whole content of a file in the running node."""
        return self._must(["cat", path])

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file in the running node, as ``put_files``."""
        self.put_files({path: (content, mode)})

    def put_files(self, files: Files) -> None:
        """Write files in the running node, owned by root; create directories that are missing."""
        self._must(["tar", "-C", "/", "-mxf", "-"], packed(files))

    def _must(self, command: list[str], stdin: bytes = b"") -> bytes:
        ran = self.run(command, stdin)
        if ran.returncode != 0:
            said = ran.stderr.decode(errors="replace")
            raise LabError(f"lab: {self.name}: {command[0]} failed", because=said)
        return ran.stdout

    def start(self) -> None:
        """Boot the node again and wait until it answers."""
        self.switch_on()
        self.wait_until_ready()

    def host_key(self) -> str | None:
        """Return the node's public host key if sshd and dockerd answer; else None."""
        try:
            if self.state != "running" or not _ssh_answers(self.ssh_port):
                return None
            ran = self.exec("sh", "-c", _ANSWERS)
        except LabError:
            return None
        return ran.stdout.strip() if ran.code == 0 and ran.stdout.strip() else None

    def wait_until_ready(self) -> str:
        """Wait for sshd and dockerd, and return the host key. Raise ``LabError`` if they fail."""
        until_s = monotonic() + self.ready_timeout_s
        while monotonic() < until_s:
            key = self.host_key()
            if key is not None:
                return key
            if self.state in {"exited", "dead"}:
                break
            sleep(0.5)  # each look starts a client of Docker
        raise LabError(
            f"lab: {self.name}: sshd and dockerd in this node do not answer",
            because=self._complaint(),
            todo=f"look with: {self.how_to_look.format(name=self.name)}",
        )

    def host_data(self) -> dict[str, object]:
        """Return the host data with which pyinfra reaches the node."""
        return {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": self.ssh_port,
            "ssh_user": SSH_USER,
            "ssh_key": str(self.key),
            "ssh_known_hosts_file": str(self.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }

    def _complaint(self) -> str:
        if self.state != "running":
            return f"the node is {self.state}"
        if self.spec.flavour.init != "systemd":
            return self.exec("tail", "-n", "1", "/var/log/docker.log").stdout.strip()
        ran = self.exec("systemctl", "list-units", "--failed", "--no-legend", "--plain")
        return ran.stdout.strip() or ran.stderr.strip() or "no failed unit"


def packed(files: Files) -> bytes:
    """Return a tar of these files, owned by root, to unpack at ``/``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (data, mode) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.mtime = len(data), mode, int(time())
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _ssh_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
