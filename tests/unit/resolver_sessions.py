"""NamespaceSessions whose namespaces are this process' own, and a Docker that is a list."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, cast

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import sessions
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import EngineError, Sandbox, Source
from pyinfra_gvisor.parts.resolver.forwarder.namespaces import Gone
from pyinfra_gvisor.parts.resolver.forwarder.neighbours import Neighbours
from pyinfra_gvisor.parts.resolver.forwarder.sessions import NamespaceSessions
from tests.unit.resolver_fakes import answer, failing, query, resolver

LOOPBACK = socket.if_nametoindex("lo")
ADDRESS, MAC = "172.18.0.2", "02:42:ac:12:00:02"


class FakeEngine:
    """Docker with a list of sources, and events that are put; ``wrong`` is raised by all."""

    def __init__(self, *sources: Source) -> None:
        self.listed, self.wrong = list(sources), cast("EngineError | None", None)
        self.read = self.opened = 0
        self.events: asyncio.Queue[None] = asyncio.Queue()

    async def sources(self) -> dict[str, Source]:
        self.read += 1
        await asyncio.sleep(0.01)
        if self.wrong is not None:
            raise self.wrong
        return {item.address: item for item in self.listed}

    async def sandbox(self, container: str) -> Sandbox:
        self.opened += 1
        await asyncio.sleep(0.01)
        if self.wrong is not None:
            raise self.wrong
        return Sandbox(f"/run/netns/{container}", ())

    async def changes(self) -> AsyncGenerator[None, None]:
        yield
        while True:
            await self.events.get()
            yield


class FakeNamespace:
    """One that is this process' own, with interfaces by address."""

    known: dict[str, FakeNamespace]

    def __init__(self, path: str, *macs: str) -> None:
        self.path, self.macs, self.there = path, set(macs), True

    def opened(self, kind: socket.SocketKind) -> socket.socket:
        if not self.there:
            raise Gone(self.path)
        return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)

    def is_there(self) -> bool:
        return self.there

    def has(self, mac: str, opened: socket.socket) -> bool:
        return opened.fileno() >= 0 and mac in self.macs


class Ground:
    """Namespaces by the containers' names, and Docker's resolver."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.namespaces: dict[str, FakeNamespace] = {}
        self._patch = monkeypatch
        monkeypatch.setattr(sessions, "look", self._look)

    def namespace(self, container: str, *macs: str) -> FakeNamespace:
        """A new one."""
        made = self.namespaces[container] = FakeNamespace(container, *macs)
        return made

    @contextlib.asynccontextmanager
    async def sessions(self, engine: FakeEngine) -> AsyncIterator[NamespaceSessions]:
        """Those of an engine, with a resolver behind them."""
        async with resolver(lambda message: [answer(message)]) as port:
            self._patch.setattr(sessions, "DOCKERS", ("127.0.0.1", port))
            diagnostics = Diagnostics()
            made = NamespaceSessions(cast("Any", engine), Neighbours(diagnostics), diagnostics)
            yield made
            made.close()
            assert made.open == 0

    def _look(self, path: str) -> Any:
        found = self.namespaces.get(path.rpartition("/")[2])
        if found is None or not found.there:
            raise Gone(path)
        return found


def source(container: str = "c1", *, address: str = ADDRESS, mac: str = MAC) -> Source:
    """One on a bridge that is loopback."""
    return Source(address, container, mac, "lo", leads_out=True)


async def container_of(made: NamespaceSessions, address: str = ADDRESS) -> str:
    """The container of an address, whose session answers."""
    found, session = await made.of(address, LOOPBACK)
    assert await session.ask(query(), stream=False) == answer(query())
    assert await session.ask(query(), stream=True) == answer(query())
    return found.container


@contextlib.asynccontextmanager
async def following(job: Coroutine[Any, Any, None] | None) -> AsyncIterator[None]:
    """Beside it a job that does not end of itself."""
    task = None if job is None else asyncio.create_task(job)
    yield
    if task is not None:
        task.cancel()
        assert isinstance(await failing(task, asyncio.CancelledError), asyncio.CancelledError)
