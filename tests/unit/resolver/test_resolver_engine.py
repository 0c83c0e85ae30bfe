"""Docker asked over its socket; and what the program counts, limits and tells."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.resolver.forwarder import diagnostics, engine
from pyinfra_gvisor.parts.resolver.forwarder.counters import Counters, write
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import (
    Engine,
    EngineError,
    Sandbox,
    Source,
    read_sandbox,
    read_sources,
)
from pyinfra_gvisor.parts.resolver.forwarder.main import tell_systemd
from pyinfra_gvisor.parts.resolver.forwarder.rates import Places, Rates
from tests.table import table
from tests.unit.resolver.resolver_fakes import FakeDocker, failing, ok, run


def network(name: str, *, driver: str = "bridge", internal: bool = False, **more: Any) -> Any:
    """One of ``/networks``, as Docker 26.1 says it, without what nobody reads."""
    said = {"Name": name, "Id": (name * 64)[:64], "Scope": "local", "Driver": driver}
    return said | {"Internal": internal, "Options": {}, "Labels": {}} | more


def end(name: str, address: str, mac: str = "02:42:AC:12:00:02", address6: str = "") -> Any:
    """A container's end of a network."""
    addresses = {"IPAddress": address, "IPPrefixLen": 16, "GlobalIPv6Address": address6}
    return {"NetworkID": (name * 64)[:64], "MacAddress": mac, "Aliases": None} | addresses


def container(name: str, **ends: Any) -> Any:
    """One of ``/containers/json``."""
    networks = {"NetworkSettings": {"Networks": ends}}
    return {"Id": (name * 64)[:64], "Names": [f"/{name}"], "State": "running"} | networks


NETWORKS = [
    network("n", driver="null"),
    network("h", driver="host"),
    network("a", Options={"com.docker.network.bridge.name": "docker0"}),
    network("b", Options=None),
    network("c", internal=True),
    network("o", driver="overlay"),
]


def test_every_address_of_a_container_is_known_with_its_bridge() -> None:
    web = container(
        "w", a=end("a", "172.17.0.2"), b=end("b", "172.18.0.2", "02:42:00:00:00:02", "fd00::2")
    )

    sources = read_sources(NETWORKS, [web])

    ident, mac = "w" * 64, "02:42:00:00:00:02"
    assert sources == {
        "172.17.0.2": Source("172.17.0.2", ident, "02:42:ac:12:00:02", "docker0", leads_out=True),
        "172.18.0.2": Source("172.18.0.2", ident, mac, "br-bbbbbbbbbbbb", leads_out=True),
        "fd00::2": Source("fd00::2", ident, mac, "br-bbbbbbbbbbbb", leads_out=True),
    }
    assert sources["fd00::2"].who == "fd00::2 of container wwwwwwwwwwww"


def test_a_container_on_internal_networks_only_is_not_led_out() -> None:
    inside = container("i", c=end("c", "172.19.0.2"))
    both = container("j", c=end("c", "172.19.0.3"), b=end("b", "172.18.0.3"))

    sources = read_sources(NETWORKS, [inside, both])

    assert {item.address: item.leads_out for item in sources.values()} == {
        "172.19.0.2": False,
        "172.19.0.3": True,
        "172.18.0.3": True,
    }


@table(
    "ends",
    {
        "the network of another container": {},
        "none said": None,
        "none": {"none": end("n", "")},
        "the host's": {"host": end("h", "", "")},
        "not yet on its network": {"b": end("b", "", "")},
        "an overlay": {"o": end("o", "10.0.0.2")},
        "a network that came just now": {"x": end("x", "172.30.0.2")},
    },
)
def test_a_container_without_an_address_on_a_bridge_is_no_source(ends: Any) -> None:
    odd = container("y") | {"NetworkSettings": {"Networks": ends}}

    sources = read_sources(NETWORKS, [odd, container("w", b=end("b", "172.18.0.2"))])

    assert [*sources] == ["172.18.0.2"]


def test_a_sandbox_has_a_path_and_the_containers_resolvers() -> None:
    key = "/var/run/docker/netns/c0ffee"
    said = {"NetworkSettings": {"SandboxKey": key}, "HostConfig": {"Dns": ["9.9.9.9"]}}

    assert read_sandbox(said) == Sandbox(key, ("9.9.9.9",))
    assert read_sandbox(said | {"HostConfig": {"Dns": None}}) == Sandbox(key, ())


@table(
    "said",
    {
        "nothing": {},
        "a list": [],
        "null": None,
        "half of it": {"NetworkSettings": None, "HostConfig": {}},
        "it has stopped": {"NetworkSettings": {"SandboxKey": ""}, "HostConfig": {"Dns": []}},
    },
)
def test_another_sandbox_is_an_error(said: Any) -> None:
    with pytest.raises(EngineError, match=r"is not understood|no network namespace of its own"):
        read_sandbox(said)


@table(
    "networks, containers",
    {
        "networks are an error": ({"message": "no"}, []),
        "containers are an error": ([], {"message": "no"}),
        "null": (None, None),
        "a network of nothing": ([{}], []),
        "containers by name": ([], ["web"]),
        "no settings": ([], [{"Id": "w", "NetworkSettings": None}]),
    },
)
def test_other_lists_are_an_error(networks: Any, containers: Any) -> None:
    with pytest.raises(EngineError, match="Docker's list of containers is not understood"):
        read_sources(networks, containers)


def test_docker_is_asked_over_its_socket(tmp_path: Path) -> None:
    key = {"NetworkSettings": {"SandboxKey": "/n"}, "HostConfig": {"Dns": []}}
    listed = [container("w", b=end("b", "172.18.0.2"))]

    async def ask() -> tuple[dict[str, Source], Sandbox, list[str]]:
        said = {"/networks": NETWORKS, "/containers/json": listed, "/containers/w/json": key}
        async with FakeDocker(tmp_path / "s", said) as docker:
            asked = Engine(str(docker.path))
            return await asked.sources(), await asked.sandbox("w"), sorted(docker.asked)

    sources, sandbox, paths = run(ask())

    assert [*sources] == ["172.18.0.2"]
    assert sandbox == Sandbox("/n", ())
    assert paths == ["/containers/json", "/containers/w/json", "/networks"]


@table(
    "said, message",
    {
        "500": (b"HTTP/1.0 500 Server Error\r\n\r\n{}", "answered HTTP/1.0 500"),
        "nothing": (b"", "IncompleteReadError"),
        "half a head": (b"HTTP/1.0 200 OK\r\nConte", "IncompleteReadError"),
        "garbage": (b"x" * 200_000, "LimitOverrunError"),
        "an empty head": (b"\r\n\r\n", "Docker answered $"),
        "half an answer": (ok(b'[{"Id": "'), "JSONDecodeError"),
        "no text": (ok(b"\xff\xfe\xff"), "UnicodeDecodeError"),
        "too deep": (ok(b"[" * 200_000), "RecursionError"),
    },
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


def test_a_docker_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    said = iter((b"", b"HTTP/1.0 200 OK\r\n\r\n["))

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(said))
        await asyncio.sleep(2 * engine.TIMEOUT_S)
        writer.close()

    async def ask() -> list[str]:
        server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
        asked = Engine(str(tmp_path / "s"))
        wrong = [str(await failing(asked.sandbox("w"), EngineError)) for _ in range(2)]
        server.close()
        await asyncio.sleep(2 * engine.TIMEOUT_S)
        return wrong

    assert run(ask()) == ["/containers/w/json: TimeoutError "] * 2


async def count_changes(asked: Engine, times: list[float]) -> None:
    """Note when they come, until there are no more."""
    changes = asked.changes()
    while await anext(changes, True) is None:
        times.append(asyncio.get_running_loop().time())


def test_changes_come_at_the_start_with_events_and_when_they_settle(tmp_path: Path) -> None:
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
    assert times[2] - times[1] >= engine.SETTLE_S


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


def test_only_what_moves_addresses_is_asked_for() -> None:
    assert json.loads(engine.EVENTS) == {
        "type": ["network", "container"],
        "event": ["connect", "disconnect", "destroy", "start", "die"],
    }


def open_files() -> int:
    """How many this process has."""
    return len([*Path("/proc/self/fd").iterdir()])


# https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
TEXT = """\
# HELP gvisor_resolver_queries_total Queries received, by protocol.
# TYPE gvisor_resolver_queries_total counter
gvisor_resolver_queries_total{protocol="udp"} 3
gvisor_resolver_queries_total{protocol="tcp"} 0
# HELP gvisor_resolver_outcomes_total Queries by who answered, or why nobody did.
# TYPE gvisor_resolver_outcomes_total counter
gvisor_resolver_outcomes_total{outcome="docker"} 2
gvisor_resolver_outcomes_total{outcome="upstream"} 0
gvisor_resolver_outcomes_total{outcome="failed"} 0
gvisor_resolver_outcomes_total{outcome="stranger"} 0
gvisor_resolver_outcomes_total{outcome="malformed"} 0
gvisor_resolver_outcomes_total{outcome="rate"} 1
gvisor_resolver_outcomes_total{outcome="busy"} 0
# HELP gvisor_resolver_namespaces Network namespaces with an open socket.
# TYPE gvisor_resolver_namespaces gauge
gvisor_resolver_namespaces 4
# HELP gvisor_resolver_waiting Queries that wait for an answer.
# TYPE gvisor_resolver_waiting gauge
gvisor_resolver_waiting 5
# HELP gvisor_resolver_sources Container addresses that may send queries.
# TYPE gvisor_resolver_sources gauge
gvisor_resolver_sources 6
"""


def test_the_metrics_are_in_prometheus_format_and_there_from_the_start() -> None:
    counters = Counters()
    counters.queries["udp"] += 3
    counters.outcomes["docker"] += 2
    counters.outcomes["rate"] += 1

    assert counters.text(namespaces=4, waiting=5, sources=6) == TEXT


def test_a_file_is_put_there_for_everybody_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    path.write_text("old")
    path.chmod(0o600)
    before = path.open()

    write(path, "new\n")

    with before:
        assert before.read() == "old"  # who reads it meanwhile reads all of it
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_cannot_be_put_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    path.write_text("old")
    (tmp_path / ".a.prom.new").mkdir()

    with pytest.raises(OSError, match=r"\.a\.prom\.new"):
        write(path, "new\n")

    assert path.read_text() == "old"


def test_a_burst_is_allowed_and_then_as_much_as_comes_back() -> None:
    rates = Rates(per_s=2, burst=3, sources=9)

    burst = [rates.takes("a", 10.0) for _ in range(4)]
    later = [rates.takes("a", 11.0) for _ in range(3)]
    much_later = [rates.takes("a", 99.0) for _ in range(4)]

    assert burst == [True, True, True, False]
    assert later == [True, True, False]
    assert much_later == [True, True, True, False]


def test_who_was_quiet_longest_is_forgotten_first() -> None:
    rates = Rates(per_s=0.001, burst=1, sources=2)
    for source in ("quiet", "busy", "busy", "new"):
        rates.takes(source, 1.0)

    assert [rates.takes("busy", 1.0), rates.takes("quiet", 1.0)] == [False, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 10)), max_size=80))
def test_nobody_gets_more_than_the_rate(asked: list[tuple[int, float]]) -> None:
    rates = Rates(per_s=2, burst=3, sources=9)
    taken = dict.fromkeys(range(6), 0)
    now_s = 0.0
    for source, later_s in asked:
        now_s += later_s
        taken[source] += rates.takes(str(source), now_s)

    assert max(taken.values()) <= 3 + 2 * now_s


def test_there_are_so_many_places_and_so_many_for_one() -> None:
    places = Places(most=3, of_one=2)

    took = [places.take(source) for source in ("a", "a", "a", "b", "c")]

    assert took == [True, True, False, True, False]
    assert places.taken == 3


def test_a_place_that_is_given_back_is_there_for_another() -> None:
    places = Places(most=1, of_one=1)
    places.take("a")
    places.leave("a")

    assert (places.taken, places.take("b"), places.take("a")) == (0, True, False)


def test_a_line_a_second_is_told_and_the_others_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = iter((1.0, 1.2, 1.9, 2.1, 2.5, 9.0))
    monkeypatch.setattr(diagnostics, "time", SimpleNamespace(monotonic=now_s.__next__))
    telling = Diagnostics()

    for text in "abcdef":
        telling.tell(text)

    assert capsys.readouterr().err == "a\nd (and 2 more)\nf (and 1 more)\n"


@table(
    "bound, named", {"path": ("{}/notify", "{}/notify"), "abstract": ("\0{}/notify", "@{}/notify")}
)
def test_systemd_is_told_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, named: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", named.format(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(bound.format(tmp_path))
        systemd.settimeout(10)

        tell_systemd()

        assert systemd.recv(100) == b"READY=1"


def test_nobody_is_told_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    tell_systemd()
