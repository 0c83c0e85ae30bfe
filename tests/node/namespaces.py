"""A node's networks on this machine: bridges and containers that are network namespaces only."""

import contextlib
import json
import queue
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.node.netns import RESOLVER, Answering, inside, ip, query, told


@dataclass
class Container:
    """A namespace that Docker may know as a container; asks as a sandbox in it would."""

    ident: str
    path: Path
    bridge: str
    address: str
    mac: str
    veth: str
    answering: Answering | None = None

    def socket(self, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
        """Return a socket in its namespace."""
        opened = inside(self.path, lambda: socket.socket(socket.AF_INET, kind))
        opened.settimeout(6)
        return opened

    def asks(self, name: str = "db", *, within_s: float = 6, source: str = "") -> str | None:
        """Ask once over UDP; return the address, or None without an answer."""
        asked = query(name)
        with self.socket() as asking:
            asking.settimeout(within_s)
            if source:
                asking.bind((source, 0))
            asking.connect(RESOLVER)
            asking.send(asked)
            try:
                said = asking.recv(65535)
            except TimeoutError:
                return None
        assert said[:2] == asked[:2]
        return told(said)

    def asks_over_tcp(self, name: str = "db") -> str | None:
        """Ask once over TCP; return the address, or None without an answer."""
        asked = query(name)
        with self.socket(socket.SOCK_STREAM) as asking:
            asking.connect(RESOLVER)
            asking.sendall(len(asked).to_bytes(2, "big") + asked)
            said = b""
            while chunk := asking.recv(65535):
                said += chunk
                if len(said) == 2 + int.from_bytes(said[:2], "big"):
                    return told(said[2:])
        return None

    @property
    def seen(self) -> int:
        """Return the number of queries that its resolver has received."""
        return self.answering.seen if self.answering else 0


class FakeDocker:
    """Docker's API with what ``lists`` has; each event goes to all who listen for them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lists: list[Container] = []
        self.asked = 0
        self._events: list[queue.Queue[bytes]] = []
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    owner.serve(self.rfile.readline().split()[1].decode(), self.wfile.write)

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def event(self) -> None:
        """Tell that something has changed."""
        for each in self._events:
            each.put(b'{"Type":"network"}\n')

    def break_events(self) -> None:
        """End the streams."""
        for each in self._events:
            each.put(b"")

    def close(self) -> None:
        """Stop serving."""
        self.break_events()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, path: str, write: Callable[[bytes], object]) -> None:
        """Answer one request."""
        write(b"HTTP/1.0 200 OK\r\n\r\n")
        if path.startswith("/events"):
            events: queue.Queue[bytes] = queue.Queue()
            self._events.append(events)
            while event := events.get():
                write(event)
            self._events.remove(events)
            return
        self.asked += 1
        write(json.dumps(self._said(path)).encode())

    def _said(self, path: str) -> Any:
        bridges = sorted({item.bridge for item in self.lists})
        if path == "/networks":
            key = "com.docker.network.bridge.name"
            return [
                {"Id": item, "Driver": "bridge", "Internal": True, "Options": {key: item}}
                for item in bridges
            ]
        if path == "/containers/json":
            return [
                {"Id": item.ident, "NetworkSettings": {"Networks": {item.bridge: _end(item)}}}
                for item in self.lists
            ]
        found = next(item for item in self.lists if item.ident in path)
        return {"NetworkSettings": {"SandboxKey": str(found.path)}, "HostConfig": {"Dns": []}}


def _end(item: Container) -> dict[str, str]:
    return {
        "NetworkID": item.bridge,
        "MacAddress": item.mac,
        "IPAddress": item.address,
        "GlobalIPv6Address": "",
    }


@dataclass
class Ground:
    """A namespace that is the node, with its bridges; all of it is gone at the end."""

    docker: FakeDocker
    node: str
    containers: list[Container] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The node's namespace."""
        return Path("/run/netns") / self.node

    def bridge(self, number: int) -> str:
        """A network of Docker's."""
        name = f"br{number}"
        self._at_node(
            f"link add {name} type bridge",
            f"address add 198.18.{number}.1/24 dev {name}",
            f"link set {name} up",
        )
        return name

    def container(
        self, bridge: str, last: int, *, answers: str = "", listed: bool = True, tail: str = ""
    ) -> Container:
        """One with that last number in its address, whose resolver answers with an address."""
        number = bridge.removeprefix("br")
        name = f"{self.node}{bridge}x{last}{tail}"
        veth = f"v{number}x{last}{tail}"
        mac = ":".join(("02", "42", *(secrets.token_hex(1) for _ in range(4))))
        address = f"198.18.{number}.{last}"
        ip(f"netns add {name}")
        path = Path("/run/netns") / name
        self._at_node(
            f"link add {veth} type veth peer name eth0 address {mac} netns {name}",
            f"link set {veth} master {bridge} up",
        )
        commands = (
            "link set lo up",
            f"address add {address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via 198.18.{number}.1",
        )
        inside(path, lambda: ip(*commands))
        made = Container(secrets.token_hex(32), path, bridge, address, mac, veth)
        made.answering = Answering(path, answers) if answers else None
        self.containers.append(made)
        if listed:
            self.docker.lists.append(made)
            self.docker.event()
        return made

    def remove(self, container: Container) -> None:
        """Take its namespace away."""
        if container.answering is not None:
            container.answering.stop()
        self.containers.remove(container)
        ip(f"netns del {container.path.name}")

    def has(self, container: Container) -> bool:
        """Return True if the kernel still has the namespace: else its interface is gone."""
        known = inside(self.path, Path("/proc/thread-self/net/dev").read_text)
        return f"{container.veth}:" in known

    def _at_node(self, *commands: str) -> None:
        inside(self.path, lambda: ip(*commands))


@contextlib.contextmanager
def ground(docker: Path) -> Iterator[Ground]:
    """A node without containers."""
    made = Ground(FakeDocker(docker), f"gr{secrets.token_hex(3)}")
    ip(f"netns add {made.node}")
    try:
        inside(made.path, _admit_every_source)
        inside(made.path, lambda: ip("link set lo up", f"address add {RESOLVER[0]}/32 dev lo"))
        yield made
    finally:
        made.docker.close()
        for container in [*made.containers]:
            made.remove(container)
        ip(f"netns del {made.node}")


def _admit_every_source() -> None:
    for name in ("all", "default"):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")
