"""Docker asked over its socket, and Dockers that say something else."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import engine
from pyinfra_gvisor.parts.resolver.forwarder.engine import Engine, EngineError, Sandbox, Source
from tests.unit.resolver_fakes import FakeDocker, failing, ok, run

NETWORKS = [{"Id": "b" * 64, "Driver": "bridge", "Internal": False, "Options": {}}]
END = {
    "NetworkID": "b" * 64,
    "MacAddress": "02:42:ac:12:00:02",
    "IPAddress": "172.18.0.2",
    "GlobalIPv6Address": "",
}
CONTAINERS = [{"Id": "w", "NetworkSettings": {"Networks": {"b": END}}}]


def test_docker_is_asked_over_its_socket(tmp_path: Path) -> None:
    key = {"NetworkSettings": {"SandboxKey": "/n"}, "HostConfig": {"Dns": []}}

    async def ask() -> tuple[dict[str, Source], Sandbox, list[str]]:
        said = {"/networks": NETWORKS, "/containers/json": CONTAINERS, "/containers/w/json": key}
        async with FakeDocker(tmp_path / "s", said) as docker:
            asked = Engine(str(docker.path))
            return await asked.sources(), await asked.sandbox("w"), sorted(docker.asked)

    sources, sandbox, paths = run(ask())

    assert [*sources] == ["172.18.0.2"]
    assert sandbox == Sandbox("/n", ())
    assert paths == ["/containers/json", "/containers/w/json", "/networks"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param(b"HTTP/1.0 500 Server Error\r\n\r\n{}", "answered HTTP/1.0 500", id="500"),
        pytest.param(b"", "IncompleteReadError", id="nothing"),
        pytest.param(b"HTTP/1.0 200 OK\r\nConte", "IncompleteReadError", id="half a head"),
        pytest.param(b"x" * 200_000, "LimitOverrunError", id="garbage"),
        pytest.param(b"\r\n\r\n", "Docker answered $", id="an empty head"),
        pytest.param(ok(b'[{"Id": "'), "JSONDecodeError", id="half an answer"),
        pytest.param(ok(b"\xff\xfe\xff"), "UnicodeDecodeError", id="no text"),
        pytest.param(ok(b"[" * 200_000), "RecursionError", id="too deep"),
    ],
)
def test_another_answer_is_an_error_and_leaves_no_socket(
    tmp_path: Path, said: bytes, message: str
) -> None:
    async def ask() -> tuple[BaseException, BaseException, int]:
        async with FakeDocker(tmp_path / "s", {"/containers/w/json": said}) as docker:
            asked = Engine(str(docker.path))
            first = await failing(asked.sandbox("w"), EngineError)
            before = open_files()
            second = await failing(asked.sandbox("w"), EngineError)
            await asyncio.sleep(0.05)
            return first, second, open_files() - before

    first, second, more = run(ask())

    assert str(first) == str(second)
    with pytest.raises(EngineError, match=message):
        raise first
    assert str(first).startswith("/containers/w/json: ")
    assert more <= 0


def test_no_docker_is_an_error(tmp_path: Path) -> None:
    async def ask() -> list[BaseException]:
        asked = Engine(str(tmp_path / "none"))
        return [
            await failing(asked.sources(), EngineError),
            await failing(anext(asked.changes()), EngineError),
        ]

    wrong = run(ask())

    assert ["FileNotFoundError" in str(error) for error in wrong] == [True, True]


def test_a_docker_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TIMEOUT_S", 0.1)

    said = iter((b"", b"HTTP/1.0 200 OK\r\n\r\n["))

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(said))
        await asyncio.sleep(1)
        writer.close()

    async def ask() -> list[str]:
        server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
        asked = Engine(str(tmp_path / "s"))
        wrong = [str(await failing(asked.sandbox("w"), EngineError)) for _ in range(2)]
        server.close()
        await asyncio.sleep(1)
        return wrong

    assert run(ask()) == ["/containers/w/json: TimeoutError "] * 2


async def count_changes(asked: Engine, times: list[float]) -> None:
    """Note when they come, until there are no more."""
    changes = asked.changes()
    while await anext(changes, True) is None:
        times.append(time.monotonic())


def test_changes_come_at_the_start_with_events_and_when_they_settle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SETTLE_S", 0.3)
    times: list[float] = []

    async def follow() -> list[int]:
        async with FakeDocker(tmp_path / "s", {}) as docker:
            following = asyncio.create_task(count_changes(Engine(str(docker.path)), times))
            counts = []
            for events in (0, 1, 500):
                for _ in range(events):
                    docker.events.put_nowait(b'{"Action":"connect"}\n')
                await asyncio.sleep(1.5)
                counts.append(len(times))
            docker.events.put_nowait(None)
            await following
            return counts

    start, one, many = run(follow())

    assert (start, one) == (1, 3)
    assert 5 <= many < 25
    assert times[2] - times[1] >= 0.25


def test_the_stream_of_events_ends_as_docker_does(tmp_path: Path) -> None:
    times: list[float] = []

    async def follow() -> None:
        async with FakeDocker(tmp_path / "s", {}) as docker:
            for event in (b'{"Action":"start"', None):
                docker.events.put_nowait(event)
            await count_changes(Engine(str(docker.path)), times)

    before = open_files()
    run(follow())

    assert len(times) == 2  # the start, and half an event
    assert open_files() <= before


def test_only_what_moves_addresses_is_asked_for(tmp_path: Path) -> None:
    assert json.loads(engine.EVENTS) == {
        "type": ["network", "container"],
        "event": ["connect", "disconnect", "destroy", "start", "die"],
    }


def open_files() -> int:
    """How many this process has."""
    return len([*Path("/proc/self/fd").iterdir()])
