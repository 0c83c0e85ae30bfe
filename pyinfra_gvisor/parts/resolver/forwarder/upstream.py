"""
The resolvers outside, for names that Docker does not know.

dockerd asks them from inside of the container's namespace, where a sandbox with a network stack of
its own has taken the address away, so that they cannot be reached: it then says SERVFAIL, or in
Docker 20.10 nothing. (Resolvers on the node's own loopback it asks from outside.) So they are asked
from here, as dockerd would have.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyinfra_gvisor.parts.resolver.forwarder.exchange import ask_over_tcp
from pyinfra_gvisor.parts.resolver.forwarder.messages import MOST_BYTES, is_answer_to, is_failure

RESOLV_CONF = Path("/etc/resolv.conf")
# What dockerd reads where the first one names systemd-resolved alone: Path in moby/moby,
# libnetwork/resolvconf
RESOLVED, RESOLVEDS_CONF = "127.0.0.53", Path("/run/systemd/resolve/resolv.conf")
PORT = 53
MOST = 3  # as dockerd: maxExtDNS in moby/moby, daemon/libnetwork/resolver.go
EACH_S = 2.0


class Upstream:
    """Whom to ask; ``named`` are those of dockerd's ``dns``, which come before the node's own."""

    def __init__(
        self,
        named: Sequence[str] = (),
        *,
        resolv_conf: Path = RESOLV_CONF,
        resolveds_conf: Path = RESOLVEDS_CONF,
    ) -> None:
        self._named, self._path, self._other_path = tuple(named), resolv_conf, resolveds_conf
        self._read: tuple[str, ...] = ()

    def resolvers(self, containers: Sequence[str]) -> tuple[str, ...]:
        """Those of the container's own ``--dns``, else dockerd's, else the node's."""
        found = tuple(containers) or self._named or self._nodes()
        return found[:MOST]

    async def ask(self, query: bytes, containers: Sequence[str], *, stream: bool) -> bytes:
        """
        The first answer of one of them, as dockerd takes it; raises ``OSError``.

        It is a failure if there is none but failures.
        """
        wrong: list[str] = []
        failed: bytes | None = None
        for resolver in self.resolvers(containers):
            try:
                asking = _over_tcp(resolver, query) if stream else _over_udp(resolver, query)
                said = await asyncio.wait_for(asking, EACH_S)
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                wrong.append(f"{resolver}: {error!r}")
                continue
            if not is_failure(said):
                return said
            failed = failed or said
        if failed is None:
            raise OSError(", ".join(wrong) or "no resolver is known")
        return failed

    def _nodes(self) -> tuple[str, ...]:
        """What the file says now: the network's own programs rewrite it."""
        try:
            found = tuple(nameservers(_text(self._path)))
            if found == (RESOLVED,):
                found = tuple(nameservers(_text(self._other_path)))
        except OSError:
            return self._read  # what it said before
        # Those on loopback dockerd asks itself, from outside of the container.
        self._read = tuple(item for item in found if not _address(item).is_loopback)
        return self._read


def nameservers(text: str) -> Iterator[str]:
    """The addresses of a resolv.conf."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                _address(words[1])
            except ValueError:
                continue
            yield words[1]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


async def _over_udp(resolver: str, query: bytes) -> bytes:
    """A socket of its own, and so a port of its own, that others do not guess."""
    loop = asyncio.get_running_loop()
    with _socket(resolver, socket.SOCK_DGRAM) as asking:
        await loop.sock_connect(asking, (resolver, PORT))
        await loop.sock_sendall(asking, query)
        while True:
            said = await loop.sock_recv(asking, MOST_BYTES)
            if is_answer_to(query, said):
                return said


async def _over_tcp(resolver: str, query: bytes) -> bytes:
    return await ask_over_tcp(_socket(resolver, socket.SOCK_STREAM), (resolver, PORT), query)


def _socket(resolver: str, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
