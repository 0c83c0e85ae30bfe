"""Release archives, good and bad, and the server that has them."""

import bz2
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from tests.node.repacked import members_of, pack
from tests.node.running import CURRENT, RELEASE
from tests.unit.programs import program
from tests.unit.releases.file_server import FileServer, Served
from tools.lab import LabNode, lab_arch, parts
from tools.lab.build import digest

PATH = f"/{parts.GVISOR.directory}/gvisor/releases/release/{{release}}/{{arch}}/gvisor.tar.bz2"
"""As the bucket's, below a directory that says what this is."""

NODE_PORT = 18080
SHIM = b"#!/bin/sh\n"
_RUNSC, _SIDECAR = "runsc", "gvisor-bin/gvisor_sentry"


def current_archive() -> Path:
    """Return today's runsc in the layout of gVisor's archives, as the lab built it."""
    place = {"release": RELEASE, "arch": lab_arch(os.environ), "file": "gvisor.tar.bz2"}
    return Path(str(CURRENT["gvisor_source"]).format(**place))


def renamed(content: bytes, old: str, new: str) -> bytes:
    """Return a working program that reports the version ``new``."""
    if len(old) != len(new) or old.encode() not in content:
        raise ValueError(f"{new} cannot be written over {old}")
    return content.replace(old.encode(), new.encode())


def release_members(archive: Path, release: str) -> dict[str, bytes]:
    """The members of today's archive, which work, calling themselves ``release``."""
    found = members_of(archive)
    for name in (_RUNSC, _SIDECAR):
        found[name] = renamed(found[name], f"release-{RELEASE}", f"release-{release}")
    return found


def release_archive(archive: Path, release: str, directory: Path) -> Path:
    """``release`` as one archive."""
    path = directory / f"gvisor-{release}.tar.bz2"
    return packed_archive(path, release_members(archive, release))


def packed_archive(path: Path, members: Mapping[str, bytes]) -> Path:
    """An archive with these files, by zstd, whatever its name says: tar looks into it."""
    with tempfile.TemporaryFile() as plain:
        _write(plain, members)
        plain.seek(0)
        pack(plain, path)
    return path


def small_members(release: str, *, size_bytes: int = 0) -> dict[str, bytes]:
    """
    Return the members of a small release, whose runsc only prints its version.

    For tests of installing a release, which run nothing else of it.
    """
    return {
        _RUNSC: program(f"runsc version release-{release}\n"),
        "containerd-shim-runsc-v1": SHIM,
        _SIDECAR: program("no sentry\n") + os.urandom(size_bytes),
    }


def write_archive(path: Path, members: Mapping[str, bytes]) -> Path:
    """An archive with these files, by bzip2."""
    with bz2.open(path, "wb", compresslevel=1) as file:
        _write(file, members)
    return path


def _write(file: Any, members: Mapping[str, bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))


def sha512(path: Path) -> str:
    """Return the checksum to pin."""
    return digest(path, "sha512")


def _tunnel(node: LabNode, port: int) -> subprocess.Popen[bytes]:
    """The server's port on the node's own loopback; returns when the node can use it."""
    command = ["ssh", "-N", "-p", str(node.ssh_port), "-i", str(node.key)]
    command += ["-o", f"UserKnownHostsFile={node.known_hosts}", "-o", "ExitOnForwardFailure=yes"]
    command += ["-R", f"127.0.0.1:{NODE_PORT}:127.0.0.1:{port}", "debian@127.0.0.1"]
    tunnel = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    deadline = monotonic() + 20
    while monotonic() < deadline and tunnel.poll() is None:
        if node.exec("sh", "-c", f"ss -Hltn 'sport = :{NODE_PORT}' | grep -q .").code == 0:
            return tunnel
        sleep(0.1)
    raise RuntimeError(f"no tunnel to {node.name}")


class ArchiveServer(FileServer):
    """
    Answers like the bucket: files under the real paths, an XML body with 404 elsewhere.

    It listens on loopback here, and through ssh on loopback in the nodes.
    """

    def __init__(self, archive: Path, nodes: Iterable[LabNode]) -> None:
        super().__init__()
        self.bodies: dict[str, bytes] = {}  # more files by path, served as they are
        self._nodes = tuple(nodes)
        self._tunnels: list[subprocess.Popen[bytes]] = []
        self.put(RELEASE, archive.read_bytes())

    @property
    def url(self) -> str:
        """Return the server's URL for a node."""
        return f"http://127.0.0.1:{NODE_PORT}"

    @property
    def source(self) -> str:
        """Return the value for ``gvisor_source``."""
        return self.url + PATH

    def put(
        self, release: str, body: bytes, *, file: str = "gvisor.tar.bz2", **behaviour: Any
    ) -> Served:
        """
        Serve ``body`` as a file of ``release``.

        + behaviour: more of ``Served``
        """
        path = PATH.format(release=release, arch="x86_64").replace("gvisor.tar.bz2", file)
        self.files[path] = Served(body, **behaviour)
        return self.files[path]

    def find(self, path: str) -> Served | None:
        """Return a file of a release, or another file."""
        body = self.bodies.get(path)
        return super().find(path) if body is None else Served(body)

    def asked(self, release: str) -> list[tuple[str | None, int]]:
        """Return the requested ranges of a release's files, and the bytes sent for each."""
        return [(r.range, r.sent_bytes) for r in self.requests if f"/{release}/" in r.path]

    def __enter__(self) -> Self:
        super().__enter__()
        self._tunnels = [_tunnel(node, self.server_port) for node in self._nodes]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for tunnel in self._tunnels:
            tunnel.terminate()
            tunnel.wait(timeout=10)
        super().__exit__(kind, error, where)
