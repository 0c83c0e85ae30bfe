"""One node of a lab: a container that behaves like a server."""

from __future__ import annotations

import io
import socket
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep, time

from docker.errors import APIError, DockerException
from docker.models.containers import Container

from pyinfra_gvisor.lab.command import Ran, run
from pyinfra_gvisor.lab.spec import LabError, NodeSpec

Files = dict[str, tuple[bytes, int]]
"""Content and mode of files, by their path."""

SSH_PORT = "22/tcp"
SSH_USER = "debian"
READY_TIMEOUT_S = 90
ANSWER_TIMEOUT_S = 15

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
_ANSWERS = f"timeout {ANSWER_TIMEOUT_S} docker version >/dev/null && cat {_HOST_KEY}"


@dataclass(frozen=True)
class LabNode:
    """A node that was seen to answer."""

    name: str
    spec: NodeSpec
    ssh_port: int
    key: Path
    known_hosts: Path
    container: Container = field(repr=False, compare=False)

    def exec(self, *command: str, user: str = "root") -> Ran:
        """Run a command in the node, as root unless told otherwise, with nothing on its stdin."""
        try:
            return run(self.container, list(command), user)
        except DockerException as error:
            raise LabError(f"lab: {self.name}: exec failed", because=error) from error

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file in the running node; its directory is made if it is missing."""
        # Docker's archive API does not see what is mounted in the node, such as /tmp or /run.
        beside = ".lab-put"
        put_files(self.container, {f"/root/{beside}": (content, mode)})
        ran = self.exec("install", "-D", "-m", f"{mode:o}", f"/root/{beside}", path)
        self.exec("rm", "-f", f"/root/{beside}")
        if ran.code != 0:
            raise LabError(f"lab: {self.name}: cannot write {path}", because=ran.stderr)

    def kill(self) -> None:
        """Cut the power."""
        self.container.kill()
        self.container.wait(timeout=READY_TIMEOUT_S)

    def start(self) -> None:
        """Switch the power on again, and wait until the node answers."""
        self.container.start()
        self.wait_until_ready()

    def host_key(self) -> str | None:
        """The node's public host key if it answers on ssh and its dockerd on its API, else None."""
        try:
            self.container.reload()
            if self.container.status != "running" or not _ssh_answers(self.ssh_port):
                return None
            ran = self.exec("sh", "-c", _ANSWERS)
        except (DockerException, LabError):
            return None
        return ran.stdout.strip() if ran.code == 0 and ran.stdout.strip() else None

    def wait_until_ready(self, *, timeout_s: float = READY_TIMEOUT_S) -> str:
        """Wait for ssh and dockerd; the host key. Raises ``LabError`` with what the node says."""
        until_s = monotonic() + timeout_s
        while monotonic() < until_s:
            key = self.host_key()
            if key is not None:
                return key
            self.container.reload()
            if self.container.status in {"exited", "dead"}:
                break
            sleep(0.2)
        raise LabError(
            f"lab: {self.name}: no answer from sshd and dockerd in it",
            because=self._complaint(),
            todo=f"look with: docker logs {self.name}",
        )

    def host_data(self) -> dict[str, object]:
        """What pyinfra has to know to reach it."""
        return {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": self.ssh_port,
            "ssh_user": SSH_USER,
            "ssh_key": str(self.key),
            "ssh_known_hosts_file": str(self.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }

    def _complaint(self) -> str:
        if self.container.status != "running":
            return f"container is {self.container.status}"
        if self.spec.flavour.init != "systemd":
            return self.exec("tail", "-n", "1", "/var/log/docker.log").stdout.strip()
        ran = self.exec("systemctl", "list-units", "--failed", "--no-legend", "--plain")
        return ran.stdout.strip() or ran.stderr.strip() or "no failed unit"


def put_files(container: Container, files: Files) -> None:
    """Write files, owned by root, into a container that may not have started yet."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (data, mode) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(data)
            member.mode = mode
            member.mtime = int(time())
            archive.addfile(member, io.BytesIO(data))
    try:
        container.put_archive("/", buffer.getvalue())
    except APIError as error:
        raise LabError(f"lab: {container.name}: cannot write files", because=error) from error


def published_port(container: Container) -> int:
    """The port on 127.0.0.1 that leads to the node's sshd, running or not; 0 if there is none."""
    bindings = container.attrs["HostConfig"].get("PortBindings") or {}
    return int(bindings[SSH_PORT][0]["HostPort"]) if SSH_PORT in bindings else 0


def _ssh_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
