"""
Query the upstream resolvers for names that Docker does not know.

dockerd queries them from inside the container's namespace. A sandbox with gVisor's network stack
has removed the address there, so dockerd cannot reach them: it answers SERVFAIL, or in Docker 20.10
nothing. (Resolvers on the node's own loopback dockerd queries from outside.) So this program
queries them from the node, in the way that dockerd would.
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
# If resolv.conf names only systemd-resolved, dockerd reads this file instead: Path in moby/moby,
# libnetwork/resolvconf
RESOLVED, RESOLVEDS_CONF = "127.0.0.53", Path("/run/systemd/resolve/resolv.conf")
PORT = 53
MOST = 3  # as in dockerd: maxExtDNS in moby/moby, daemon/libnetwork/resolver.go
EACH_S = 2.0


class Upstream:
    """The upstream resolvers; those of dockerd's ``dns`` (``named``) win over the node's own."""

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
        """Return the resolvers of the container's ``--dns``, else dockerd's, else the node's."""
        found = tuple(containers) or self._named or self._nodes()
        return found[:MOST]

    async def ask(self, query: bytes, containers: Sequence[str], *, stream: bool) -> bytes:
        """
        Return the first answer, as dockerd would. Raises ``OSError`` if no resolver answers.

        The answer is SERVFAIL or REFUSED only if there is no other.
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
        """Read the node's resolvers now, because network programs rewrite the file."""
        try:
            found = tuple(nameservers(_text(self._path)))
            if found == (RESOLVED,):
                found = tuple(nameservers(_text(self._other_path)))
        except OSError:
            return self._read  # what was read last
        # dockerd queries resolvers on loopback itself, from outside the container.
        self._read = tuple(item for item in found if not _address(item).is_loopback)
        return self._read


def nameservers(text: str) -> Iterator[str]:
    """Yield the addresses of the resolvers in a resolv.conf."""
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
    """Query from a new socket, so that the source port cannot be guessed."""
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
