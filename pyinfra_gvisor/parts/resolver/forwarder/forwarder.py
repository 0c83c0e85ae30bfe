"""Answer containers' queries over UDP and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Coroutine

from pyinfra_gvisor.parts.resolver.forwarder.backoff import (
    PATIENCE_S,
    again,
    answered,
    begin,
    hear,
)
from pyinfra_gvisor.parts.resolver.forwarder.counters import Counters
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import EngineError, Source
from pyinfra_gvisor.parts.resolver.forwarder.exchange import Busy, framed, read_framed
from pyinfra_gvisor.parts.resolver.forwarder.messages import (
    MOST_BYTES,
    MOST_QUERY_BYTES,
    SERVFAIL,
    failure,
    has_records,
    is_failure,
    is_query,
    is_without_name,
)
from pyinfra_gvisor.parts.resolver.forwarder.namespaces import Gone
from pyinfra_gvisor.parts.resolver.forwarder.rates import Places, Rates
from pyinfra_gvisor.parts.resolver.forwarder.sessions import (
    ANSWER_S,
    NamespaceSession,
    NamespaceSessions,
    UnknownSource,
)
from pyinfra_gvisor.parts.resolver.forwarder.upstream import Upstream

# Queries at a time. They fit into the service's memory limit even if each needs 16 KB. Further ones
# are dropped, and the client repeats them.
MOST_TASKS = 1024
MOST_OF_ONE = 256
MOST_CONNECTIONS, MOST_CONNECTIONS_OF_ONE = 256, 32
IDLE_S = 10.0  # RFC 7766, 6.2.3: close an idle connection
PER_S, BURST, REMEMBERED = 2000.0, 4000.0, 4096

_AT_ONCE = 64  # packets that are read before other tasks run
_IP_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 8, 49, 50  # linux/in.h, linux/in6.h


class Forwarder:
    """Answers the queries that arrive on the given sockets."""

    def __init__(
        self,
        sessions: NamespaceSessions,
        upstream: Upstream,
        counters: Counters,
        diagnostics: Diagnostics,
    ) -> None:
        self._sessions, self._upstream, self.counters = sessions, upstream, counters
        self._diagnostics = diagnostics
        self._rates = Rates(per_s=PER_S, burst=BURST, sources=REMEMBERED)
        self._queries = Places(most=MOST_TASKS, of_one=MOST_OF_ONE)
        self._connections = Places(most=MOST_CONNECTIONS, of_one=MOST_CONNECTIONS_OF_ONE)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Return the number of queries without an answer yet."""
        return self._queries.taken

    def listen(self, datagrams: socket.socket) -> None:
        """Answer queries that arrive on this UDP socket, and learn on which interface each did."""
        if datagrams.family == socket.AF_INET6:
            datagrams.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            datagrams.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        datagrams.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(datagrams.fileno(), self._read, datagrams)

    def _read(self, datagrams: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                query, about, _, sender = datagrams.recvmsg(MOST_BYTES, 256)
            except OSError:  # Nothing left to read, or an earlier answer could not be delivered.
                return
            self.counters.queries["udp"] += 1
            address = plain(sender[0])
            if self._is_admitted(address, query):
                interface = _interface(about)
                self._start(address, self._reply(datagrams, sender, address, interface, query))

    def _is_admitted(self, address: str, query: bytes) -> bool:
        """Return True if the query may be answered; its place in ``_queries`` is then taken."""
        if not is_query(query):
            self.counters.outcomes["malformed"] += 1
        elif not self._rates.takes(address, time.monotonic()):
            self.counters.outcomes["rate"] += 1
        elif not self._queries.take(address):
            self.counters.outcomes["busy"] += 1
        else:
            return True
        return False

    def _start(self, address: str, answering: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(answering)
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._diagnostics.tell(f"{address}: {error!r}")

        task.add_done_callback(ended)

    async def _reply(
        self,
        datagrams: socket.socket,
        sender: tuple[str, int],
        address: str,
        interface: int | None,
        query: bytes,
    ) -> None:
        """Send the answer, then leave the place, so that the container may query again at once."""
        try:
            answer = await self.answer(address, interface, query, stream=False)
            with contextlib.suppress(OSError):  # The container repeats its query.
                datagrams.sendto(answer, sender)
        except UnknownSource:
            return  # The address may belong to another machine: send nothing.
        finally:
            self._queries.leave(address)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the queries of a TCP connection, one after the other."""
        peer = writer.get_extra_info("peername")  # None if the connection has ended already
        address = plain(peer[0]) if peer else ""
        if not address or not self._connections.take(address):
            self.counters.outcomes["busy"] += bool(address)
            writer.close()
            return
        try:
            await self._whose(address, None)
            while True:
                reading = read_framed(reader, MOST_QUERY_BYTES)
                query = await asyncio.wait_for(reading, IDLE_S)
                self.counters.queries["tcp"] += 1
                if not self._is_admitted(address, query):
                    return
                try:
                    writer.write(framed(await self.answer(address, None, query, stream=True)))
                finally:
                    self._queries.leave(address)
                await asyncio.wait_for(writer.drain(), IDLE_S)
        except (OSError, UnknownSource, asyncio.TimeoutError):
            return
        finally:
            self._connections.leave(address)
            writer.close()

    async def answer(
        self, address: str, interface: int | None, query: bytes, *, stream: bool
    ) -> bytes:
        """Return the answer to a container's query. Raises ``UnknownSource``."""
        outcome, said = "failed", failure(query, SERVFAIL)
        for is_last in (False, True):
            source, session = await self._whose(address, interface)
            try:
                outcome, said = await self._asked(source, session, query, stream=stream)
            except Gone as error:
                if not is_last:  # The container has moved to another network meanwhile.
                    continue
                self._diagnostics.tell(f"{source.who}: {error!r}")
            except Busy:
                outcome = "busy"
            except (OSError, asyncio.TimeoutError) as error:
                self._diagnostics.tell(f"{source.who}: {error!r}")
            break
        self.counters.outcomes[outcome] += 1
        return said

    async def _whose(self, address: str, interface: int | None) -> tuple[Source, NamespaceSession]:
        """Return the container with this address. Raises ``UnknownSource`` if it is not known."""
        try:
            return await self._sessions.of(address, interface)
        except UnknownSource:
            self.counters.outcomes["stranger"] += 1
            raise
        except EngineError as error:
            self.counters.outcomes["failed"] += 1
            self._diagnostics.tell(f"{address}: {error}")
            raise UnknownSource(address) from error

    async def _asked(
        self, source: Source, session: NamespaceSession, query: bytes, *, stream: bool
    ) -> tuple[str, bytes]:
        """
        Return who answered, and the answer.

        After a restart, dockerd's resolvers answer before it has read all containers. A name that
        is unknown then is asked for again. Raises ``asyncio.TimeoutError`` if that takes too long.
        """
        end_s = time.monotonic() + ANSWER_S
        while True:
            began_s = time.monotonic()
            outcome, said = await self._asked_once(source, session, query, stream=stream)
            if not is_without_name(said) or session.is_settled_since(began_s):
                return outcome, said
            await self._sessions.settle(session, end_s)

    async def _asked_once(
        self, source: Source, session: NamespaceSession, query: bytes, *, stream: bool
    ) -> tuple[str, bytes]:
        """Query Docker, which knows the containers' names, then upstream resolvers if it fails."""
        if not source.leads_out:
            return "docker", await session.ask(query, stream=stream)
        asking = begin(session, query, stream=stream)
        try:
            done, _ = await asyncio.wait({asking}, timeout=PATIENCE_S)
            if not done:
                await hear(source, session, asking)
            fails = answered(asking) and is_failure(asking.result())
            if asking.done() and not fails:
                return "docker", asking.result()
            if fails and not session.is_settling:
                session.is_outspoken = True
            try:
                said = await self._upstream.ask(query, session.resolvers, stream=stream)
            except OSError:
                return "docker", await asking
            if has_records(said):
                return "upstream", said
            if session.is_refused:  # Docker restarts; the name may be a container's.
                return "docker", await asking
            later = await again(source, session, query, asking, stream=stream)
            return ("docker", later) if later is not None else ("upstream", said)
        finally:
            asking.cancel()


def plain(address: str) -> str:
    """Return an address as Docker writes it: without a zone, and IPv4-mapped ones as IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _interface(about: list[tuple[int, int, bytes]]) -> int | None:
    """Return the index of the interface on which a packet arrived: ip(7), ipv6(7)."""
    for level, kind, data in about:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return int(struct.unpack_from("@i", data)[0])
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            return int(struct.unpack_from("@I", data, 16)[0])
    return None
