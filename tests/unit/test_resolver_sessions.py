"""Who asks, as Docker says it, early, late and wrong."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import sessions
from pyinfra_gvisor.parts.resolver.forwarder.engine import EngineError
from pyinfra_gvisor.parts.resolver.forwarder.namespaces import Gone
from pyinfra_gvisor.parts.resolver.forwarder.sessions import NamespaceSession, UnknownSource
from tests.unit.resolver_fakes import answer, failing, query, resolver, run, until
from tests.unit.resolver_sessions import (
    ADDRESS,
    LOOPBACK,
    MAC,
    FakeEngine,
    FakeNamespace,
    Ground,
    container_of,
    following,
    source,
)


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Less patience, and no namespaces yet."""
    monkeypatch.setattr(sessions, "UNKNOWN_S", 0.2)
    monkeypatch.setattr(sessions, "STARTING_S", 0.6)
    monkeypatch.setattr(sessions, "RECONNECT_S", 0.1)
    return Ground(monkeypatch)


def test_one_reading_and_one_opening_serve_all_who_ask_at_once(ground: Ground) -> None:
    engine = FakeEngine(source())
    ground.namespace("c1", MAC)

    async def job() -> set[str]:
        async with ground.sessions(engine) as made:
            asked = [container_of(made) for _ in range(10)]
            said = set(await asyncio.gather(*asked))
            assert (made.open, made.sources) == (1, 1)
            return said

    assert run(job()) == {"c1"}
    assert (engine.read, engine.opened) == (1, 1)


@pytest.mark.parametrize("followed", [True, False], ids=["with events", "without events"])
def test_a_container_that_is_listed_later_is_waited_for(ground: Ground, followed: bool) -> None:
    engine = FakeEngine()
    ground.namespace("c1", MAC)

    async def job() -> str:
        async with ground.sessions(engine) as made, following(made.follow() if followed else None):
            asking = asyncio.create_task(container_of(made))
            await asyncio.sleep(0.1)
            engine.listed.append(source())
            engine.events.put_nowait(None)
            return await asking

    assert run(job()) == "c1"


def test_an_address_on_another_bridge_is_a_strangers(ground: Ground) -> None:
    engine = FakeEngine(source())
    ground.namespace("c1", MAC)

    async def job() -> None:
        async with ground.sessions(engine) as made:
            assert await container_of(made) == "c1"
            await failing(made.of(ADDRESS, LOOPBACK + 1), UnknownSource)
            assert await container_of(made) == "c1"

    run(job())


def test_strangers_cost_docker_little_and_wait_in_few_places(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()

    async def job() -> int:
        async with ground.sessions(engine) as made:
            asked = [failing(made.of(f"10.0.{n % 50}.9", None), UnknownSource) for n in range(2000)]
            waited = [asyncio.create_task(cast("Any", item)) for item in asked]
            await asyncio.sleep(0.1)
            left = len([item for item in waited if not item.done()])
            await asyncio.gather(*waited)
            return left

    assert run(job()) == sessions.MOST_STARTING
    assert engine.read <= 5


def test_a_room_whose_interface_left_is_left_for_who_has_the_address_now(ground: Ground) -> None:
    engine = FakeEngine(source("old"))
    old = ground.namespace("old", MAC)
    ground.namespace("new", MAC)

    async def job() -> tuple[str, str]:
        async with ground.sessions(engine) as made:
            first = await container_of(made)
            old.macs.clear()
            engine.listed[:] = [source("new")]
            second = await container_of(made)
            assert made.open == 1
            return first, second

    assert run(job()) == ("old", "new")


def test_a_container_that_cannot_be_entered_is_not_tried_for_each_query(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeEngine(source())
    ground.namespace("c1", "02:00:00:00:00:99")

    async def job() -> None:
        async with ground.sessions(engine) as made:
            for _ in range(3):
                asked = [failing(made.of(ADDRESS, None), UnknownSource) for _ in range(200)]
                await asyncio.gather(*asked)
            assert made.open == 0

    run(job())

    assert engine.opened <= 15


def test_a_namespace_that_is_not_there_is_told(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    async def job() -> None:
        async with ground.sessions(FakeEngine(source())) as made:
            await failing(made.of(ADDRESS, None), UnknownSource)

    run(job())

    assert capsys.readouterr().err == f"{ADDRESS} of container c1: Gone: /run/netns/c1\n"


def test_without_docker_who_is_known_is_answered_and_others_are_not(ground: Ground) -> None:
    engine = FakeEngine(source())
    ground.namespace("c1", MAC)

    async def job() -> tuple[str, BaseException]:
        async with ground.sessions(engine) as made:
            await container_of(made)
            engine.wrong = EngineError("away")
            return await container_of(made), await failing(made.of("10.0.0.9", None), EngineError)

    assert run(job())[0] == "c1"


def test_who_has_gone_is_let_go_of(ground: Ground) -> None:
    engine = FakeEngine(source("a"), source("b", address="172.18.0.3"))
    for container in ("a", "b"):
        ground.namespace(container, MAC)

    async def job() -> list[int]:
        async with ground.sessions(engine) as made, following(made.follow()):
            await container_of(made)
            await container_of(made, "172.18.0.3")
            counts = [made.open]
            engine.listed.pop()
            engine.events.put_nowait(None)
            await until(lambda: made.open == 1)
            ground.namespaces["a"].there = False  # and Docker lists it for a moment yet
            engine.events.put_nowait(None)
            await until(lambda: made.open == 0)
            return [*counts, made.open]

    assert run(job()) == [2, 0]


def test_a_namespace_that_went_in_silence_is_swept(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SWEEP_S", 0.1)
    namespace = ground.namespace("c1", MAC)

    async def job() -> None:
        async with ground.sessions(FakeEngine(source())) as made, following(made.sweep()):
            await container_of(made)
            await asyncio.sleep(0.3)
            assert made.open == 1
            namespace.there = False
            await until(lambda: made.open == 0)

    run(job())


def test_who_waits_in_a_room_that_is_dropped_is_told_that_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def job() -> BaseException:
        async with resolver(lambda _: []) as port:
            monkeypatch.setattr(sessions, "DOCKERS", ("127.0.0.1", port))
            session = NamespaceSession(cast("Any", FakeNamespace("c1", MAC)), ())
            asking = asyncio.create_task(session.ask(query(), stream=False))
            await asyncio.sleep(0.05)
            session.close()
            assert not session.is_of(source())
            return await failing(asking, Gone)

    assert str(run(job())) == "c1"


def test_a_resolver_that_restarts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ANSWER_S", 5.0)

    async def job() -> tuple[bool, bytes, bool]:
        async with resolver(lambda message: [answer(message)]) as port:
            monkeypatch.setattr(sessions, "DOCKERS", ("127.0.0.1", port))
        await asyncio.sleep(0.05)
        session = NamespaceSession(cast("Any", FakeNamespace("c1", MAC)), ())
        asking = asyncio.create_task(session.ask(query(), stream=False))
        await asyncio.sleep(0.6)
        was_refused = session.is_refused
        async with resolver(lambda message: [answer(message)], port=port):
            said = await asking
        session.close()
        return was_refused, said, session.is_refused

    assert run(job()) == (True, answer(query()), False)


def test_a_resolver_that_stays_away_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ANSWER_S", 0.8)
    monkeypatch.setattr(sessions, "DOCKERS", ("127.0.0.1", 9))

    async def job() -> None:
        session = NamespaceSession(cast("Any", FakeNamespace("c1", MAC)), ())
        for stream in (False, True):
            await failing(session.ask(query(), stream=stream), ConnectionRefusedError)
        session.close()

    run(job())
