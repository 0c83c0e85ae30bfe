"""Find the container of an address, and query Docker's resolver in its network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping

from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import Engine, EngineError, Sandbox, Source
from pyinfra_gvisor.parts.resolver.forwarder.exchange import Exchange, ask_over_tcp
from pyinfra_gvisor.parts.resolver.forwarder.namespaces import Gone, Namespace, look
from pyinfra_gvisor.parts.resolver.forwarder.neighbours import Neighbours
from pyinfra_gvisor.parts.resolver.forwarder.rates import Places

# dockerd's resolver inside each namespace: moby/moby, daemon/libnetwork/resolver.go
DOCKERS = ("127.0.0.11", 53)
# By then the client in the container has tried twice: resolv.conf(5), timeout and attempts.
ANSWER_S = 10.0
AGAIN_S = 0.25
UNKNOWN_S = 0.5  # for unknown addresses, Docker is not queried more often than this
# A container queries as soon as it runs, and Docker lists it a moment later.
STARTING_S = 4.0
MOST_STARTING, MOST_STARTING_OF_ONE = 512, 64
RECONNECT_S = 1.0
SWEEP_S = 15.0


class UnknownSource(Exception):
    """No container of this node has this address on this interface."""


class NamespaceSession:
    """A container's network namespace, with a socket to Docker's resolver in it."""

    def __init__(self, namespace: Namespace, resolvers: tuple[str, ...]) -> None:
        self.namespace, self.resolvers = namespace, resolvers
        # Whether Docker answers SERVFAIL for unknown names (20.10 does not); None until known.
        self.is_outspoken: bool | None = None
        self.hearing: asyncio.Task[bytes] | None = None  # a query that Docker can always answer
        self.is_refused = False  # nobody listens on Docker's port: dockerd restarts
        self._disturbed_s, self._settled_s = float("-inf"), time.monotonic()
        self._closed = False
        self._exchange = self._opened()

    @property
    def is_settling(self) -> bool:
        """Return True while dockerd restarts, and until it is seen to know all containers again."""
        return self._settled_s <= self._disturbed_s and not self._closed

    def is_settled_since(self, then_s: float) -> bool:
        """Return True if dockerd has known all containers since then."""
        return self._disturbed_s < self._settled_s <= then_s

    def disturb(self) -> None:
        """Note that dockerd has ended, or ends."""
        self._disturbed_s = time.monotonic()

    def settle(self, asked_s: float) -> None:
        """
        Note that Docker's API has answered a request that was sent at this time.

        dockerd listens early and serves its API last, when it has read all containers:
        daemonCLI.start in moby/moby, daemon/command/daemon.go
        """
        if self.is_settling and self._disturbed_s < asked_s:
            self._settled_s = time.monotonic()

    def is_of(self, source: Source) -> bool:
        """Return True if the container still has its network, and with it its address."""
        if self._closed or not self.namespace.is_there():
            return False
        return self.namespace.has(source.mac, self._exchange.socket)

    async def ask(self, query: bytes, *, stream: bool) -> bytes:
        """
        Return Docker's answer. Raises ``Busy``, ``Gone``, ``OSError`` or ``asyncio.TimeoutError``.

        While dockerd restarts nobody listens. Then it listens on another port, to which a rule of
        the kernel redirects. The old socket would still be redirected to the old port, so a new
        one is opened.
        """
        end_s = time.monotonic() + ANSWER_S
        while not self._closed:
            left_s = end_s - time.monotonic()
            used = self._exchange
            try:
                answer = await self._ask_once(query, left_s, stream=stream)
            except ConnectionError as error:
                if isinstance(error, ConnectionRefusedError):
                    self.is_refused = True
                    self.disturb()
                if left_s < 2 * AGAIN_S:
                    raise
            else:
                self.is_refused = False
                return answer
            await asyncio.sleep(AGAIN_S)
            if self._exchange is used and not self._closed:
                self._exchange = self._opened()
                used.close()
        raise Gone(self.namespace.path)

    def close(self) -> None:
        """Close the socket, so that the kernel can end the namespace."""
        self._closed = True
        self._exchange.close()

    async def _ask_once(self, query: bytes, timeout_s: float, *, stream: bool) -> bytes:
        if not stream:
            return await self._exchange.ask(query, timeout_s)
        opened = self.namespace.opened(socket.SOCK_STREAM)
        return await asyncio.wait_for(ask_over_tcp(opened, DOCKERS, query), timeout_s)

    def _opened(self) -> Exchange:
        opened = self.namespace.opened(socket.SOCK_DGRAM)
        try:
            opened.connect(DOCKERS)
        except OSError:
            opened.close()
            raise
        return Exchange(opened)


class NamespaceSessions:
    """The sessions of all containers that sent queries, updated as Docker's networks change."""

    def __init__(self, engine: Engine, neighbours: Neighbours, diagnostics: Diagnostics) -> None:
        self._engine, self._neighbours, self._diagnostics = engine, neighbours, diagnostics
        self._sources: Mapping[str, Source] = {}
        self._sessions: dict[str, NamespaceSession] = {}
        self._opening: dict[str, asyncio.Task[NamespaceSession]] = {}
        self._failed_s: dict[str, float] = {}
        self._starting = Places(most=MOST_STARTING, of_one=MOST_STARTING_OF_ONE)
        self._reading: asyncio.Task[None] | None = None
        self._has_read = asyncio.Event()
        self._read_s = float("-inf")

    @property
    def sources(self) -> int:
        """Return the number of addresses that may send queries."""
        return len(self._sources)

    @property
    def open(self) -> int:
        """Return the number of namespaces with an open socket."""
        return len(self._sessions)

    async def of(self, address: str, interface: int | None) -> tuple[Source, NamespaceSession]:
        """
        Return the container that has this address now, and its session.

        + interface: index of the interface on which the query arrived; None if not known

        Raises ``UnknownSource`` if there is none, ``EngineError`` if Docker does not answer.
        """
        found = await self._found(address, interface)
        if found is not None:
            return found
        if not self._starting.take(address):
            raise UnknownSource(address)
        try:
            return await self._awaited(address, interface)
        finally:
            self._starting.leave(address)

    async def settle(self, session: NamespaceSession, end_s: float) -> None:
        """Wait until Docker knows all containers. Raises ``asyncio.TimeoutError`` at ``end_s``."""
        while True:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise asyncio.TimeoutError
            if not session.is_settling:
                return
            with contextlib.suppress(EngineError):
                await asyncio.wait_for(self._look_again(unless_within_s=UNKNOWN_S), left_s)
            if session.is_settling:
                await asyncio.sleep(min(left_s, AGAIN_S))

    async def follow(self) -> None:
        """Follow Docker's events and reconnect after errors, until cancelled."""
        while True:
            try:
                async with contextlib.aclosing(self._engine.changes()) as changes:
                    async for _ in changes:
                        await self._look_again(unless_within_s=0)
            except EngineError as error:
                self._diagnostics.tell(f"docker: {error}; trying again")
            for session in self._sessions.values():
                session.disturb()
            await asyncio.sleep(RECONNECT_S)

    async def sweep(self) -> None:
        """Close sessions whose namespace has ended without an event of Docker, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._drop_gone()

    def close(self) -> None:
        """Close all sessions."""
        for container in [*self._sessions]:
            self._drop(container)

    async def _found(
        self, address: str, interface: int | None
    ) -> tuple[Source, NamespaceSession] | None:
        source = self._fitting(address, interface)
        session = None if source is None else self._sessions.get(source.container)
        if source is not None and session is not None:
            if session.is_of(source):
                return source, session
            self._drop(source.container)  # Another container may have its address by now.
            try:
                await self._look_again(unless_within_s=0)
            except EngineError:
                return None
            source = self._fitting(address, interface)
        return None if source is None else await self._with_room(source)

    async def _with_room(self, source: Source) -> tuple[Source, NamespaceSession] | None:
        """Return the session of a source; None if it cannot be opened, now or ``UNKNOWN_S`` ago."""
        container = source.container
        if time.monotonic() - self._failed_s.get(container, float("-inf")) < UNKNOWN_S:
            return None
        try:
            session = await self._opened(container)
        except (EngineError, Gone, OSError) as error:
            self._diagnostics.tell(f"{source.who}: {type(error).__name__}: {error}")
        else:
            if session.is_of(source):
                return source, session
            self._drop(container)
        self._failed_s[container] = time.monotonic()
        return None

    async def _awaited(
        self, address: str, interface: int | None
    ) -> tuple[Source, NamespaceSession]:
        """Wait up to ``STARTING_S`` for a container that Docker may not list yet."""
        end_s = time.monotonic() + STARTING_S
        wrong: Exception = UnknownSource(address)
        while True:
            try:
                await self._look_again(unless_within_s=UNKNOWN_S)
            except EngineError as error:
                wrong = error
            else:
                found = await self._found(address, interface)
                if found is not None:
                    return found
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise wrong
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._has_read.wait(), min(left_s, UNKNOWN_S))

    def _fitting(self, address: str, interface: int | None) -> Source | None:
        source = self._sources.get(address)
        if source is None or interface not in (None, _index(source.bridge)):
            return None
        return source

    async def _look_again(self, *, unless_within_s: float) -> None:
        """Read Docker's lists once for all waiting tasks; a read in progress may be outdated."""
        if self._reading is not None:
            await asyncio.wait({self._reading})
        if time.monotonic() - self._read_s < unless_within_s:
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        asked_s = self._read_s = time.monotonic()
        self._sources = await self._engine.sources()
        for session in self._sessions.values():
            session.settle(asked_s)
        self._neighbours.update(self._sources)
        here = {source.container for source in self._sources.values()}
        for container in self._sessions.keys() - here:
            self._drop(container)
        self._drop_gone()
        for container in self._failed_s.keys() - here:
            del self._failed_s[container]
        self._has_read.set()
        self._has_read = asyncio.Event()

    async def _opened(self, container: str) -> NamespaceSession:
        """Open a session once for all tasks that wait for it."""
        task = self._opening.get(container)
        if task is None:
            task = self._opening[container] = asyncio.create_task(self._open(container))
            task.add_done_callback(lambda _: self._opening.pop(container, None))
        return await asyncio.shield(task)

    async def _open(self, container: str) -> NamespaceSession:
        sandbox: Sandbox = await self._engine.sandbox(container)
        session = NamespaceSession(look(sandbox.namespace), sandbox.resolvers)
        self._drop(container)
        self._sessions[container] = session
        return session

    def _drop_gone(self) -> None:
        for container, session in [*self._sessions.items()]:
            if not session.namespace.is_there():
                self._drop(container)

    def _drop(self, container: str) -> None:
        session = self._sessions.pop(container, None)
        if session is not None:
            session.close()


def _index(interface: str) -> int | None:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None
