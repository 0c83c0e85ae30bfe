"""A Docker API on a unix socket, as good or as bad as a test wants it."""

import hashlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.answers import compact, info

SECRET = "hunter2"  # noqa: S105 - a made-up one to look for

OLD_FORM = {"runsc": {"path": "/usr/local/bin/runsc"}}  # what a sandbox of a test is started by

Handler = socketserver.StreamRequestHandler
Answer = Callable[[Handler], None]


def container(
    number: int,
    pid: int,
    *,
    name: str = "app",
    state: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
    mounts: Sequence[Mapping[str, Any]] = (),
    labels: Mapping[str, str] | None = None,
    others: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A container as ``/containers/<id>/json`` shows it, members in Docker's own order."""
    return {
        "Id": f"{number:064x}",
        "Created": "2026-10-01T10:00:00Z",
        "Path": "sleep",
        "Args": ["1000"],
        "State": {"Status": "running", "Running": True, "Pid": pid, **(state or {})},
        "Image": f"sha256:{number:064x}",
        "Name": f"/{name}",
        "RestartCount": 0,
        "ExecIDs": None,
        "HostConfig": {"Binds": None, "AutoRemove": False, "Runtime": "runc", **(host or {})},
        "GraphDriver": {"Data": {"UpperDir": "/var/lib/docker/overlay2/x"}, "Name": "overlay2"},
        "Mounts": list(mounts),
        "Config": {
            "Env": [f"PASSWORD={SECRET}"],
            "Cmd": ["sleep", f"--token={SECRET}"],
            "Labels": dict(labels or {}),
        },
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "b" * 64}}},
        **(others or {}),
    }


def port(public: int, kind: str = "tcp", address: str = "::") -> dict[str, Any]:
    """A published port as ``/containers/json`` lists it."""
    return {"IP": address, "PrivatePort": 80, "PublicPort": public, "Type": kind}


def network(name: str, **others: Any) -> dict[str, Any]:
    """A network as ``/networks`` lists it; ``others`` such as ``Driver`` and ``Options``."""
    return {
        "Name": name,
        "Id": hashlib.sha256(name.encode()).hexdigest(),
        "Created": "2026-10-01T10:00:00Z",
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": [{"Subnet": "172.18.0.0/16"}]},
        "Containers": {},
        "Options": {},
        "Labels": {},
        **others,
    }


def listed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same container as ``/containers/json`` lists it."""
    return {
        "Id": document["Id"],
        "Names": [document["Name"]],
        "ImageID": document["Image"],
        "Ports": document.get("Ports", []),
        "Labels": document["Config"]["Labels"],
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": document["NetworkSettings"],
        "Mounts": [],
    }


def says(body: str, status: str = "200 OK", *, length: int | None = None) -> Answer:
    """An answer; ``length`` is what it claims to be long, where that is a lie."""
    data = body.encode()
    head = (
        f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data) if length is None else length}\r\n\r\n"
    )
    return lambda request: request.wfile.write(head.encode() + data) and None


def breaks_off(body: str, share: float) -> Answer:
    """The first part of an answer, and then nothing more."""
    return ends_at(body, int(len(body) * share))


def ends_at(body: str, end: int) -> Answer:
    """An answer without what comes from this character on."""
    return says(body[:end], length=len(body.encode()))


def closes(_request: Handler) -> None:
    """Not a word."""


def hangs(request: Handler) -> None:
    """No answer until the client goes away."""
    request.connection.recv(1)


def routes(
    documents: Sequence[Mapping[str, Any]],
    docker: Mapping[str, Any] | None = None,
    *,
    networks: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Answer]:
    """The answers of a good daemon with these containers and networks."""
    bodies = {f"/containers/{item['Id']}/json": compact(item) + "\n" for item in documents}
    return {
        "/info": says(compact(info(runtimes=OLD_FORM) if docker is None else docker) + "\n"),
        "/containers/json": says(compact([listed(item) for item in documents]) + "\n"),
        "/networks": says(compact(list(networks)) + "\n"),
        "/plugins": says("[]\n"),  # asked for if any test runs a process like a plugin's shim
        **{path: says(body) for path, body in bodies.items()},
    }


@contextmanager
def daemon(path: Path, answers: Mapping[str, Answer]) -> Iterator[list[str]]:
    """A daemon listening on ``path``; yields the paths it was asked for, as they come."""
    asked: list[str] = []

    class Request(Handler):
        def handle(self) -> None:
            target = self.rfile.readline().decode().split(" ")[1]
            while self.rfile.readline().strip():
                pass
            asked.append(target)
            missing = says(json.dumps({"message": "no such thing"}), "404 Not Found")
            answers.get(target, missing)(self)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

    with Server(str(path), Request) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
