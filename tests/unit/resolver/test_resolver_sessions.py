"""Who asks, as Docker says it, early, late and wrong; and whom a moved address is told."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, cast

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import neighbours, sessions
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import EngineError, Sandbox, Source
from pyinfra_gvisor.parts.resolver.forwarder.namespaces import Gone
from pyinfra_gvisor.parts.resolver.forwarder.neighbours import Neighbours
from pyinfra_gvisor.parts.resolver.forwarder.sessions import NamespaceSessions, UnknownSource
from tests.table import table
from tests.unit.resolver.resolver_fakes import answer, failing, looped, query, resolver, until, well

LOOPBACK = socket.if_nametoindex("lo")
ADDRESS, MAC = "172.18.0.2", "02:42:ac:12:00:02"
END = object()


class FakeEngine:
    """
    Docker with a list of sources, and events that are put; ``wrong`` is raised by all.

    ``END`` among the events ends their stream.
    """

    def __init__(self, *sources: Source) -> None:
        self.listed, self.wrong = list(sources), cast("EngineError | None", None)
        self.read = self.opened = 0
        self.events: asyncio.Queue[object] = asyncio.Queue()

    async def sources(self) -> dict[str, Source]:
        self.read += 1
        await self._work()
        return {item.address: item for item in self.listed}

    async def sandbox(self, container: str) -> Sandbox:
        self.opened += 1
        await self._work()
        return Sandbox(f"/run/netns/{container}", ())

    async def changes(self) -> AsyncGenerator[None, None]:
        yield
        while await self.events.get() is not END:
            yield

    async def _work(self) -> None:
        await asyncio.sleep(0.01)
        if self.wrong is not None:
            raise self.wrong


class FakeNamespace:
    """One that is this process' own, with interfaces by address."""

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
        async with resolver(well) as port:
            self._patch.setattr(sessions, "DOCKERS", ("127.0.0.1", port))
            diagnostics = Diagnostics()
            made = NamespaceSessions(cast("Any", engine), Neighbours(diagnostics), diagnostics)
            yield made
            made.close()
            assert made.open == 0

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[tuple[FakeEngine, NamespaceSessions]]:
        """An engine with one container, in whose namespace its address is, and the sessions."""
        engine = FakeEngine(source())
        self.namespace("c1", MAC)
        async with self.sessions(engine) as made:
            yield engine, made

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
async def following(job: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Beside it a job that does not end of itself."""
    task = asyncio.create_task(job)
    yield
    task.cancel()
    await failing(task, asyncio.CancelledError)


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    """No namespaces yet."""
    return Ground(monkeypatch)


@looped
async def test_one_reading_and_one_opening_serve_all_who_ask_at_once(ground: Ground) -> None:
    async with ground.one() as (engine, made):
        said = await asyncio.gather(*(container_of(made) for _ in range(10)))

        assert (set(said), made.open, made.sources) == ({"c1"}, 1, 1)
    assert (engine.read, engine.opened) == (1, 1)


@pytest.mark.parametrize("followed", [True, False], ids=["with events", "without events"])
@looped
async def test_a_container_that_is_listed_later_counts(ground: Ground, followed: bool) -> None:
    engine = FakeEngine()
    ground.namespace("c1", MAC)

    async with (
        ground.sessions(engine) as made,
        following(made.follow() if followed else asyncio.sleep(99)),
    ):
        asking = asyncio.create_task(container_of(made))
        await asyncio.sleep(0.1)
        engine.listed.append(source())
        engine.events.put_nowait(None)

        assert await asking == "c1"


@looped
async def test_strangers_cost_docker_little_and_wait_in_few_places(ground: Ground) -> None:
    engine = FakeEngine()

    async with ground.sessions(engine) as made:
        asked = [failing(made.of(f"10.0.{n % 50}.9", None), UnknownSource) for n in range(2000)]
        waited = [asyncio.create_task(cast("Any", item)) for item in asked]
        await asyncio.sleep(0.1)
        left = len([item for item in waited if not item.done()])
        await asyncio.gather(*waited)

    assert left == sessions.MOST_STARTING
    assert engine.read <= 2 + sessions.STARTING_S / sessions.UNKNOWN_S


@looped
async def test_a_room_whose_interface_left_is_left_for_who_has_the_address(ground: Ground) -> None:
    engine = FakeEngine(source("old"))
    old = ground.namespace("old", MAC)
    ground.namespace("new", MAC)

    async with ground.sessions(engine) as made:
        first = await container_of(made)
        old.macs.clear()
        engine.listed[:] = [source("new")]
        second = await container_of(made)

        assert (first, second, made.open) == ("old", "new", 1)


@looped
async def test_who_cannot_be_entered_is_not_tried_for_each_query_but_told(
    ground: Ground, capsys: Any
) -> None:
    engine = FakeEngine(source())

    async with ground.sessions(engine) as made:
        await failing(made.of(ADDRESS, None), UnknownSource)
        first = capsys.readouterr().err.splitlines()[0]
        opened = engine.opened
        ground.namespace("c1", "02:00:00:00:00:99")
        for _ in range(3):
            asked = [failing(made.of(ADDRESS, None), UnknownSource) for _ in range(200)]
            await asyncio.gather(*asked)

        assert made.open == 0
    assert first == f"{ADDRESS} of container c1: Gone: /run/netns/c1"
    assert engine.opened - opened <= 3 * (2 + sessions.STARTING_S / sessions.UNKNOWN_S)


@looped
async def test_who_is_known_is_answered_without_docker_too_but_on_no_other_bridge_and_no_stranger(
    ground: Ground,
) -> None:
    async with ground.one() as (engine, made):
        assert await container_of(made) == "c1"
        await failing(made.of(ADDRESS, LOOPBACK + 1), UnknownSource)
        assert await container_of(made) == "c1"
        engine.wrong = EngineError("away")

        assert await container_of(made) == "c1"
        await failing(made.of("10.0.0.9", None), EngineError)


@looped
async def test_after_a_restart_docker_knows_all_once_its_api_answers(ground: Ground) -> None:
    async with ground.one() as (engine, made):
        _, session = await made.of(ADDRESS, LOOPBACK)
        before_s = time.monotonic()
        engine.wrong = EngineError("starting")
        session.disturb()
        await asyncio.sleep(0.1)
        asked_s = time.monotonic()
        waiting = asyncio.create_task(made.settle(session, asked_s + 10))
        await asyncio.sleep(3)
        had_settled, engine.wrong = waiting.done(), None
        await waiting

        assert not had_settled
        assert not session.is_settling
        since = [session.is_settled_since(then_s) for then_s in (before_s, asked_s)]
        assert since == [False, False], "what was answered meanwhile cannot be trusted"
        assert session.is_settled_since(time.monotonic())
    assert engine.read <= 3 + 3 / sessions.UNKNOWN_S


@looped
async def test_what_was_asked_of_the_old_docker_says_nothing_of_one_that_stays_away(
    ground: Ground,
) -> None:
    async with ground.one() as (engine, made):
        _, session = await made.of(ADDRESS, LOOPBACK)
        asked_s = time.monotonic()
        await asyncio.sleep(0.01)
        engine.wrong = EngineError("away")
        session.disturb()
        session.settle(asked_s)

        assert session.is_settling
        end_s = time.monotonic() + 5
        await failing(made.settle(session, end_s), asyncio.TimeoutError)
        assert time.monotonic() == pytest.approx(end_s, abs=0.1), "not waited for without end"


@looped
async def test_the_end_of_dockers_events_is_a_restart_though_nothing_was_refused(
    ground: Ground,
) -> None:
    async with ground.one() as (engine, made), following(made.follow()):
        _, session = await made.of(ADDRESS, LOOPBACK)
        was_settling = session.is_settling
        engine.events.put_nowait(END)
        await until(lambda: session.is_settling)
        await until(lambda: not session.is_settling)

    assert not was_settling


@looped
async def test_who_has_gone_is_let_go_of(ground: Ground) -> None:
    engine = FakeEngine(source("a"), source("b", address="172.18.0.3"))
    for container in ("a", "b"):
        ground.namespace(container, MAC)

    async with ground.sessions(engine) as made, following(made.follow()):
        await container_of(made)
        await container_of(made, "172.18.0.3")
        assert made.open == 2
        engine.listed.pop()
        engine.events.put_nowait(None)
        await until(lambda: made.open == 1)
        ground.namespaces["a"].there = False  # and Docker lists it for a moment yet
        engine.events.put_nowait(None)
        await until(lambda: made.open == 0)


@looped
async def test_a_namespace_that_went_in_silence_is_swept(ground: Ground) -> None:
    async with ground.one() as (_, made), following(made.sweep()):
        await container_of(made)
        await asyncio.sleep(2 * sessions.SWEEP_S)
        assert made.open == 1
        ground.namespaces["c1"].there = False
        await asyncio.sleep(sessions.SWEEP_S)
        assert made.open == 0


def session_of(monkeypatch: pytest.MonkeyPatch, port: int) -> sessions.NamespaceSession:
    """A session with Docker's resolver at this port."""
    monkeypatch.setattr(sessions, "DOCKERS", ("127.0.0.1", port))
    return sessions.NamespaceSession(cast("Any", FakeNamespace("c1", MAC)), ())


@looped
async def test_who_waits_in_a_room_that_is_dropped_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with resolver(lambda _: []) as port:
        session = session_of(monkeypatch, port)
        asking = asyncio.create_task(session.ask(query(), stream=False))
        await asyncio.sleep(0.05)

        session.close()

        assert not session.is_of(source())
        assert str(await failing(asking, Gone)) == "c1"


@looped
async def test_a_resolver_that_restarts_is_waited_for_and_one_that_stays_away_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with resolver(well) as port:
        pass
    await asyncio.sleep(0.05)
    session = session_of(monkeypatch, port)
    asking = asyncio.create_task(session.ask(query(), stream=False))
    await asyncio.sleep(0.6)
    was_refused = session.is_refused
    async with resolver(well, port=port):
        said = await asking
    session.close()

    assert (was_refused, said, session.is_refused) == (True, answer(query()), False)
    away = session_of(monkeypatch, 9)
    for stream in (False, True):
        await failing(away.ask(query(), stream=stream), ConnectionRefusedError)
    away.close()


DB, WEB, FAR = "172.18.0.2", "172.18.0.3", "172.19.0.3"
OLD, NEW, OTHER = "02:42:ac:12:00:02", "9a:1c:11:86:b6:48", "32:cd:be:b8:54:f4"
DB_OLD, DB_NEW, WEB_THERE = (DB, OLD, "br1"), (DB, NEW, "br1"), (WEB, OTHER, "br1")


class Sent:
    """A packet socket that keeps what is sent, and is opened as often as there is something."""

    def __init__(self, wrong: Exception | None = None) -> None:
        self.wrong, self.opened = wrong, 0
        self.packets: list[tuple[bytes, tuple[Any, ...]]] = []

    def __call__(self) -> Any:
        self.opened += 1
        return contextlib.nullcontext(self)

    def sendto(self, packet: bytes, where: tuple[Any, ...]) -> None:
        if self.wrong is not None:
            raise self.wrong
        self.packets.append((packet, where))


def listed(*items: tuple[str, str, str]) -> dict[str, Source]:
    """Containers by address, hardware address and bridge."""
    return {
        address: Source(address, f"c{address}", mac, bridge, leads_out=True)
        for address, mac, bridge in items
    }


def neighbours_by(sent: Sent) -> Neighbours:
    return Neighbours(Diagnostics(), cast("Any", sent))


def test_a_peer_on_the_bridge_is_asked_for_itself_in_the_name_of_who_has_the_address() -> None:
    sent = Sent()
    kept = neighbours_by(sent)
    others = ((WEB, OTHER, "br1"), (FAR, OTHER, "br2"), ("fd91::3", OTHER, "br1"))

    kept.update(listed((DB, OLD, "br1"), *others))
    kept.update(listed((DB, NEW, "br1"), *others))

    packet = bytes.fromhex(
        "0001 0800 06 04 0001"  # RFC 826
        "9a1c1186b648 ac120002"
        "000000000000 ac120003"
    )
    assert sent.packets == [(packet, ("br1", 0x0806, 0, 0, bytes.fromhex("32cdbeb854f4")))]


@table(
    "before, after",
    new=([], [DB_NEW, WEB_THERE]),
    the_same=([DB_OLD, WEB_THERE], [DB_OLD, WEB_THERE]),
    on_another_bridge=([DB_OLD, WEB_THERE], [(DB, NEW, "br2"), WEB_THERE]),
    alone=([DB_OLD], [DB_NEW]),
    ipv6=([("fd91::2", OLD, "br1"), WEB_THERE], [("fd91::2", NEW, "br1"), WEB_THERE]),
)
def test_nobody_is_told_what_is_not_news(before: Any, after: Any) -> None:
    sent = Sent()
    kept = neighbours_by(sent)

    kept.update(listed(*before))
    kept.update(listed(*after))

    assert (sent.opened, sent.packets) == (0, [])


def test_an_address_that_nobody_had_for_a_while_is_remembered_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "REMEMBERED", 2)
    first, sent = Sent(), Sent()
    remembering, kept = neighbours_by(first), neighbours_by(sent)

    for items in ([DB_OLD, WEB_THERE], [WEB_THERE], [WEB_THERE], [DB_NEW, WEB_THERE]):
        remembering.update(listed(*items))
    kept.update(listed(DB_OLD, WEB_THERE))
    for last in range(10, 20):
        kept.update(listed((f"172.18.0.{last}", OLD, "br1"), WEB_THERE))
    kept.update(listed(DB_NEW, WEB_THERE))
    forgotten = len(sent.packets)
    kept.update(listed(DB_OLD, WEB_THERE))

    assert (len(first.packets), forgotten, len(sent.packets)) == (1, 0, 1)


@table(
    "mac, wrong",
    not_permitted=(NEW, PermissionError("not permitted")),
    odd_docker=("no address", None),
)
def test_what_goes_wrong_is_told_and_no_more(capsys: Any, mac: str, wrong: Any) -> None:
    kept = neighbours_by(Sent(wrong))

    kept.update(listed(DB_OLD, WEB_THERE))
    kept.update(listed((DB, mac, "br1"), WEB_THERE))

    assert capsys.readouterr().err.startswith(f"neighbours of {DB} of container c{DB[:11]}: ")
