"""A forwarder that listens on loopback, with sessions and resolvers outside that are not real."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from pyinfra_gvisor.parts.resolver.forwarder.counters import Counters
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import Source
from pyinfra_gvisor.parts.resolver.forwarder.exchange import framed, read_framed
from pyinfra_gvisor.parts.resolver.forwarder.forwarder import Forwarder
from pyinfra_gvisor.parts.resolver.forwarder.messages import reverse
from tests.unit.resolver_fakes import answer, run

LOOPBACK = socket.if_nametoindex("lo")
DOCKERS, OUTSIDE = "172.18.0.2", "198.51.100.1"
Says = Callable[[bytes], Any]


class Fake:
    """
    Rooms, the only session and the resolvers outside.

    ``docker`` and ``upstream`` say what becomes of a query: bytes, an error, or a number of
    seconds of silence. Whose its own address is Docker says at once unless it is ``slow``.
    """

    def __init__(self, docker: Says, upstream: Says | None = None) -> None:
        self.docker, self.upstream = docker, upstream or (lambda _: OSError("nobody outside"))
        self.leads_out, self.is_refused = True, False
        self.docker_late_s = self.outside_late_s = 0.0
        self.slow = self.is_settling = False
        self.is_outspoken: bool | None = None
        self.hearing: asyncio.Task[bytes] | None = None
        self.own = 0  # how often Docker was asked for what it always knows
        self.streams: set[bool] = set()
        self.resolvers = ("192.0.2.1",)
        self.of_error: Exception | None = None
        self.asked: list[tuple[str, int | None]] = []
        self.outside: list[tuple[str, ...]] = []

    async def of(self, address: str, interface: int | None) -> tuple[Source, Fake]:
        self.asked.append((address, interface))
        if self.of_error is not None:
            raise self.of_error
        return Source(address, "c" * 64, "02:00", "lo", self.leads_out), self

    async def ask(self, query: bytes, *others: Any, stream: bool) -> bytes:
        if query == reverse("127.0.0.1"):
            self.own += 1
            await asyncio.sleep(self.docker_late_s if self.slow else 0)
            return query
        self.outside.extend(others)
        self.streams.add(stream)
        await asyncio.sleep(self.outside_late_s if others else self.docker_late_s)
        said = (self.upstream if others else self.docker)(query)
        while isinstance(said, float):
            await asyncio.sleep(said)
            said = TimeoutError("silent")
        if isinstance(said, BaseException):
            raise said
        return cast("bytes", said)


class Running:
    """A forwarder that listens, and somebody who asks it."""

    def __init__(self, forwarder: Forwarder, port: int, tcp_port: int) -> None:
        self.forwarder, self.port, self.tcp_port = forwarder, port, tcp_port
        self.asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.asker.connect(("127.0.0.1", port))

    @property
    def outcomes(self) -> dict[str, int]:
        """Those that there were."""
        return {name: n for name, n in self.forwarder.counters.outcomes.items() if n}

    def send(self, message: bytes) -> None:
        self.asker.send(message)

    async def heard(self, within_s: float = 10) -> bytes | None:
        """The next answer, if there is one."""
        with contextlib.suppress(asyncio.TimeoutError):
            loop = asyncio.get_running_loop()
            return await asyncio.wait_for(loop.sock_recv(self.asker, 65535), within_s)
        return None

    async def over_tcp(self, *messages: bytes) -> list[bytes]:
        """The answers until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.tcp_port)
        writer.write(b"".join(map(framed, messages)))
        writer.write_eof()
        said = []
        with contextlib.suppress(ConnectionResetError):
            while True:
                said.append(await asyncio.wait_for(read_framed(reader), 10))
        writer.close()
        return said


@contextlib.asynccontextmanager
async def running(fake: Fake) -> AsyncIterator[Running]:
    """Over UDP and TCP on loopback."""
    answering = Forwarder(cast("Any", fake), cast("Any", fake), Counters(), Diagnostics())
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    answering.listen(datagrams)
    server = await asyncio.start_server(answering.serve, "127.0.0.1", 0)
    made = Running(answering, datagrams.getsockname()[1], server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        asyncio.get_running_loop().remove_reader(datagrams.fileno())
        server.close()
        datagrams.close()
        made.asker.close()
        await asyncio.sleep(0)


def told(fake: Fake, *messages: bytes, stream: bool = False) -> tuple[list[bytes], dict[str, int]]:
    """The answers to these, and what was counted."""

    async def whole() -> tuple[list[bytes], dict[str, int]]:
        async with running(fake) as made:
            if stream:
                over_tcp = await made.over_tcp(*messages)
                assert fake.streams == {True}
                return over_tcp, made.outcomes
            said = []
            for message in messages:
                made.send(message)
                said.append(await made.heard())
            assert (fake.streams, made.forwarder.waiting) == ({False}, 0)
            return [item for item in said if item is not None], made.outcomes

    return run(whole())


def docker(message: bytes) -> bytes:
    """Docker's answer."""
    return answer(message, address=DOCKERS)


def outside(message: bytes) -> bytes:
    """The answer from outside."""
    return answer(message, address=OUTSIDE)
