"""Release archives built around Debian's real runsc, good and bad, and the server that has them."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import TracebackType

from pyinfra_gvisor.lab import LabNode

RELEASE = "20240729.0"
PATH = "/gvisor/releases/release/{release}/{arch}/gvisor.tar.bz2"
NODE_PORT = 18080
NOT_FOUND = b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code></Error>"


def debian_archive(node: LabNode, directory: Path) -> Path:
    """``gvisor.tar.bz2`` with the lived-in node's runsc, in the layout of August 2026."""
    made = node.exec("sh", "-c", "base64 -w0 /usr/local/bin/runsc")
    return write_archive(
        directory / "gvisor.tar.bz2",
        {
            "runsc": base64.b64decode(made.stdout),
            "containerd-shim-runsc-v1": b"#!/bin/sh\n",
            "gvisor-bin/sentry": b"x",
        },
    )


def write_archive(path: Path, members: Mapping[str, bytes], *, link: str | None = None) -> Path:
    """An archive with these files, and a symbolic link ``link`` to /etc/passwd if asked for."""
    with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


def sha512(path: Path) -> str:
    """The checksum to pin."""
    return hashlib.sha512(path.read_bytes()).hexdigest()


def _tunnel(node: LabNode, port: int) -> subprocess.Popen[bytes]:
    """The server's port on the node's own loopback; returns when the node can use it."""
    command = [
        "ssh",
        "-N",
        "-p",
        str(node.ssh_port),
        "-i",
        str(node.key),
        "-o",
        f"UserKnownHostsFile={node.known_hosts}",
    ]
    command += [
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        f"127.0.0.1:{NODE_PORT}:127.0.0.1:{port}",
        "debian@127.0.0.1",
    ]
    tunnel = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    deadline = monotonic() + 20
    while monotonic() < deadline and tunnel.poll() is None:
        if node.exec("sh", "-c", f"ss -Hltn 'sport = :{NODE_PORT}' | grep -q .").code == 0:
            return tunnel
        sleep(0.1)
    raise RuntimeError(f"no tunnel to {node.name}")


class ArchiveServer:
    """
    Answers like the bucket: archives under the real paths, an XML body with 404 elsewhere.

    It listens on loopback here, and through ssh on loopback in the nodes.
    """

    def __init__(self, archive: Path, nodes: Iterable[LabNode]) -> None:
        self.bodies: dict[str, bytes] = {}
        self.truncated: set[str] = set()
        self._nodes = tuple(nodes)
        self._tunnels: list[subprocess.Popen[bytes]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.put(RELEASE, archive.read_bytes())

    @property
    def source(self) -> str:
        """What to write into ``gvisor_source``."""
        return f"http://127.0.0.1:{NODE_PORT}{PATH}"

    def put(self, release: str, body: bytes, *, truncated: bool = False) -> None:
        """Serve ``body`` as the archive of ``release``; truncated: it breaks off half way."""
        path = PATH.format(release=release, arch="x86_64")
        self.bodies[path] = body
        self.truncated.discard(path)
        if truncated:
            self.truncated.add(path)

    def __enter__(self) -> ArchiveServer:
        Thread(target=self._server.serve_forever, daemon=True).start()
        self._tunnels = [_tunnel(node, self._server.server_port) for node in self._nodes]
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
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = owner.bodies.get(self.path)
                self.send_response(200 if body is not None else 404)
                content = NOT_FOUND if body is None else body
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                half = len(content) // 2 if self.path in owner.truncated else len(content)
                self.wfile.write(content[:half])

            def log_message(self, *_: object) -> None:
                """Nothing: pytest shows what matters."""

        return Handler
