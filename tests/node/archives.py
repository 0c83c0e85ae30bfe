"""Release archives built around Debian's real runsc, good and bad, and the server that has them."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from time import monotonic, sleep
from types import TracebackType
from typing import Any

from pyinfra_gvisor.lab import LabNode
from tests.unit.file_server import FileServer, Served

RELEASE = "20240729.0"
PATH = "/gvisor/releases/release/{release}/{arch}/gvisor.tar.bz2"
NODE_PORT = 18080
SHIM = b"#!/bin/sh\n"
SENTRY = b"#!/bin/sh\n# stands for the sentry, which Debian's runsc has inside\n"


def debian_archive(node: LabNode, directory: Path) -> Path:
    """``gvisor.tar.bz2`` with the lived-in node's runsc, in the layout of August 2026."""
    return write_archive(
        directory / "gvisor.tar.bz2",
        {
            "runsc": file_of(node, "/usr/local/bin/runsc"),
            "containerd-shim-runsc-v1": SHIM,
            "gvisor-bin/sentry": b"x",
        },
    )


def file_of(node: LabNode, path: str) -> bytes:
    """A file of the node's own file system; of an exec's output a busy Docker may lose a part."""
    chunks, _ = node.container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as packed:
        member = packed.extractfile(PurePosixPath(path).name)
        return member.read() if member else b""


def runsc_as(archive: Path, release: str) -> bytes:
    """The runsc of ``debian_archive``, which works, calling itself ``release``."""
    with tarfile.open(archive) as opened:
        member = opened.extractfile("runsc")
        content = member.read() if member else b""
    old, new = f"0.0~{RELEASE}".encode(), f"0.0~{release}".encode()
    if len(old) != len(new) or old not in content:
        raise ValueError(f"{release} cannot be written over {RELEASE}")
    return content.replace(old, new)


def release_members(archive: Path, release: str) -> dict[str, bytes]:
    """What a release of August 2026 or later consists of, around a runsc that works."""
    return {
        "runsc": runsc_as(archive, release),
        "containerd-shim-runsc-v1": SHIM,
        "gvisor-bin/gvisor_sentry": SENTRY,
    }


def release_archive(archive: Path, release: str, directory: Path) -> Path:
    """``release`` as one archive."""
    path = directory / f"gvisor-{release}.tar.bz2"
    return write_archive(path, release_members(archive, release))


def loose_files(archive: Path, release: str, directory: Path) -> dict[str, Path]:
    """``release`` as it was until August 2026: two files, by name."""
    members = {"runsc": runsc_as(archive, release), "containerd-shim-runsc-v1": SHIM}
    found = {name: directory / f"{release}-{name}" for name in members}
    for name, path in found.items():
        path.write_bytes(members[name])
    return found


def write_archive(
    path: Path,
    members: Mapping[str, bytes],
    *odd: tarfile.TarInfo,
    link: str | None = None,
) -> Path:
    """An archive with these files, with members as they are given, and a symbolic link ``link``."""
    with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
        if link:
            archive.addfile(odd_member(link, tarfile.SYMTYPE, "/etc/passwd"))
        for member in odd:
            archive.addfile(member)
    return path


def odd_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member that is no file: a link to ``target``, or a device (the one of /dev/null)."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, target, 0o666
    member.devmajor, member.devminor = 1, 3
    return member


def sha512(path: Path) -> str:
    """The checksum to pin."""
    return hashlib.sha512(path.read_bytes()).hexdigest()


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
        """What a node calls it."""
        return f"http://127.0.0.1:{NODE_PORT}"

    @property
    def source(self) -> str:
        """What to write into ``gvisor_source``."""
        return self.url + PATH

    def put(
        self,
        release: str,
        body: bytes,
        *,
        truncated: bool = False,
        file: str = "gvisor.tar.bz2",
        **behaviour: Any,
    ) -> Served:
        """
        Serve ``body`` as a file of ``release``.

        + truncated: it breaks off half way, every time
        + behaviour: more of ``Served``
        """
        path = PATH.format(release=release, arch="x86_64").replace("gvisor.tar.bz2", file)
        if truncated:
            behaviour = {"dies_always": len(body) // 2, "ranges": False, **behaviour}
        self.files[path] = Served(body, **behaviour)
        return self.files[path]

    def find(self, path: str) -> Served | None:
        """A file of a release, or one of the others."""
        body = self.bodies.get(path)
        return super().find(path) if body is None else Served(body)

    def asked(self, release: str) -> list[tuple[str | None, int]]:
        """The ranges asked for of files of ``release``, and how many bytes were sent for each."""
        return [(r.range, r.sent_bytes) for r in self.requests if f"/{release}/" in r.path]

    def __enter__(self) -> ArchiveServer:
        super().__enter__()
        self._tunnels = [_tunnel(node, self.port) for node in self._nodes]
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
