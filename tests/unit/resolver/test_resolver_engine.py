"""Docker asked over its socket; and what the program counts, limits and tells."""

import asyncio
import json
import re
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import diagnostics, engine
from pyinfra_gvisor.parts.resolver.forwarder.counters import Counters, write
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.main import tell_systemd
from pyinfra_gvisor.parts.resolver.forwarder.rates import Places, Rates
from tests.table import table
from tests.unit.resolver.resolver_fakes import FakeDocker, failing, looped, ok, run


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


def test_every_address_of_a_container_is_known_with_its_bridge_and_whether_it_leads_out() -> None:
    ident, mac = "w" * 64, "02:42:00:00:00:02"
    web = container("w", a=end("a", "172.17.0.2"), b=end("b", "172.18.0.2", mac, "fd00::2"))
    inside = container("i", c=end("c", "172.19.0.2"))
    both = container("j", c=end("c", "172.19.0.3"), b=end("b", "172.18.0.3"))

    sources = engine.read_sources(NETWORKS, [web])
    internal = engine.read_sources(NETWORKS, [inside, both])

    first = engine.Source("172.17.0.2", ident, "02:42:ac:12:00:02", "docker0", leads_out=True)
    second = engine.Source("172.18.0.2", ident, mac, "br-bbbbbbbbbbbb", leads_out=True)
    third = replace(second, address="fd00::2")
    assert sources == {source.address: source for source in (first, second, third)}
    assert third.who == "fd00::2 of container wwwwwwwwwwww"
    led_out = {address: source.leads_out for address, source in internal.items()}
    assert led_out == {"172.19.0.2": False, "172.19.0.3": True, "172.18.0.3": True}


@table(
    "ends",
    none_said=None,
    none={"none": end("n", "")},
    an_overlay={"o": end("o", "10.0.0.2")},
    not_yet_on_its_network={"b": end("b", "", "")},
    a_network_that_came_just_now={"x": end("x", "172.30.0.2")},
)
def test_a_container_without_an_address_on_a_bridge_is_no_source(ends: Any) -> None:
    odd = container("y") | {"NetworkSettings": {"Networks": ends}}

    sources = engine.read_sources(NETWORKS, [odd, container("w", b=end("b", "172.18.0.2"))])

    assert [*sources] == ["172.18.0.2"]


STOPPED = {"NetworkSettings": {"SandboxKey": ""}, "HostConfig": {"Dns": []}}


@table("said", nothing={}, null=None, it_has_stopped=STOPPED)
def test_a_sandbox_has_a_path_and_the_containers_resolvers_or_is_an_error(said: Any) -> None:
    there: Any = {"NetworkSettings": {"SandboxKey": "/n"}, "HostConfig": {"Dns": ["9.9.9.9"]}}

    assert engine.read_sandbox(there) == engine.Sandbox("/n", ("9.9.9.9",))
    assert engine.read_sandbox({**there, "HostConfig": {"Dns": None}}) == engine.Sandbox("/n", ())
    with pytest.raises(engine.EngineError, match=r"is not understood|no network namespace of its"):
        engine.read_sandbox(said)


@table(
    "lists",
    an_error=({"message": "no"}, []),
    networks=([{}], []),
    containers=([], ["web"]),
)
def test_other_lists_are_an_error(lists: Any) -> None:
    with pytest.raises(engine.EngineError, match="Docker's list of containers is not understood"):
        engine.read_sources(*lists)


@looped
async def test_docker_is_asked_over_its_socket_and_for_what_moves_addresses(tmp_path: Path) -> None:
    key = {"NetworkSettings": {"SandboxKey": "/n"}, "HostConfig": {"Dns": []}}
    listed = [container("w", b=end("b", "172.18.0.2"))]
    said = {"/networks": NETWORKS, "/containers/json": listed, "/containers/w/json": key}

    async with FakeDocker(tmp_path / "s", said) as docker:
        asked = engine.Engine(str(docker.path))

        assert [*await asked.sources()] == ["172.18.0.2"]
        assert await asked.sandbox("w") == engine.Sandbox("/n", ())
        assert {*docker.asked} == {*said}
    events = ["connect", "disconnect", "destroy", "start", "die"]
    assert json.loads(engine.EVENTS) == {"type": ["network", "container"], "event": events}


@table(
    "said, message",
    status_500=(b"HTTP/1.0 500 Server Error\r\n\r\n{}", "answered HTTP/1.0 500"),
    nothing=(b"", "IncompleteReadError"),
    garbage=(b"x" * 200_000, "LimitOverrunError"),
    an_empty_head=(b"\r\n\r\n", "Docker answered $"),
    no_text=(ok(b"\xff\xfe\xff"), "UnicodeDecodeError"),
    half_an_answer=(ok(b'[{"Id": "'), "JSONDecodeError"),
    too_deep=(ok(b"[" * 200_000), "RecursionError"),
)
@looped
async def test_another_answer_is_an_error(tmp_path: Path, said: bytes, message: str) -> None:
    async with FakeDocker(tmp_path / "s", {"/containers/w/json": said}) as docker:
        asked = engine.Engine(str(docker.path))
        first = str(await failing(asked.sandbox("w"), engine.EngineError))
        before = open_files()
        second = str(await failing(asked.sandbox("w"), engine.EngineError))
        await asyncio.sleep(0.05)

        assert first == second
        assert re.search(f"^/containers/w/json: .*{message}", first)
        assert open_files() <= before


@looped
async def test_a_docker_that_says_nothing_is_given_up_and_none_is_an_error(tmp_path: Path) -> None:
    said = iter((b"", b"HTTP/1.0 200 OK\r\n\r\n["))
    none, asked = engine.Engine(str(tmp_path / "none")), engine.Engine(str(tmp_path / "s"))

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(said))
        await asyncio.sleep(2 * engine.TIMEOUT_S)
        writer.close()

    for job in (none.sources(), anext(none.changes())):
        assert "FileNotFoundError" in str(await failing(job, engine.EngineError))
    server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
    wrong = [str(await failing(asked.sandbox("w"), engine.EngineError)) for _ in range(2)]
    server.close()
    await asyncio.sleep(2 * engine.TIMEOUT_S)

    assert wrong == ["/containers/w/json: TimeoutError "] * 2


async def count_changes(asked: engine.Engine, times: list[float]) -> None:
    """Note when they come, until there are no more."""
    changes = asked.changes()
    while await anext(changes, True) is None:
        times.append(asyncio.get_running_loop().time())


@looped
async def test_changes_come_at_the_start_with_events_and_when_they_settle(tmp_path: Path) -> None:
    times: list[float] = []
    counts = []

    async with FakeDocker(tmp_path / "s", {}) as docker:
        following = asyncio.create_task(count_changes(engine.Engine(str(docker.path)), times))
        for events in (0, 1, 500):
            for _ in range(events):
                docker.events.put_nowait(b'{"Action":"connect"}\n')
            await asyncio.sleep(1.5)
            counts.append(len(times))
        docker.events.put_nowait(None)
        await following

    assert counts[:2] == [1, 3]
    assert 5 <= counts[2] < 25
    assert times[2] - times[1] >= engine.SETTLE_S


def test_the_stream_of_events_ends_as_docker_does(tmp_path: Path) -> None:
    times: list[float] = []

    async def follow() -> None:
        async with FakeDocker(tmp_path / "s", {}) as docker:
            for event in (b'{"Action":"start"', None):
                docker.events.put_nowait(event)
            await count_changes(engine.Engine(str(docker.path)), times)

    before = open_files()
    run(follow())

    assert len(times) == 2  # the start, and half an event
    assert open_files() <= before


def open_files() -> int:
    """How many this process has."""
    return len([*Path("/proc/self/fd").iterdir()])


def test_the_metrics_are_in_prometheus_format_and_there_from_the_start() -> None:
    counters = Counters()
    counters.queries["udp"] += 3
    counters.outcomes["rate"] += 1

    lines = counters.text(namespaces=4, waiting=5, sources=6).splitlines()

    # https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
    assert lines[:5] == [
        "# HELP gvisor_resolver_queries_total Queries received, by protocol.",
        "# TYPE gvisor_resolver_queries_total counter",
        'gvisor_resolver_queries_total{protocol="udp"} 3',
        'gvisor_resolver_queries_total{protocol="tcp"} 0',
        "# HELP gvisor_resolver_outcomes_total Queries by who answered, or why nobody did.",
    ]
    others = {"docker", "upstream", "failed", "stranger", "malformed", "busy"}
    assert {*lines} >= {
        *(f'gvisor_resolver_outcomes_total{{outcome="{name}"}} 0' for name in others),
        'gvisor_resolver_outcomes_total{outcome="rate"} 1',
    }
    for name, value in (("namespaces", 4), ("waiting", 5), ("sources", 6)):
        at = lines.index(f"gvisor_resolver_{name} {value}")
        assert lines[at - 1] == f"# TYPE gvisor_resolver_{name} gauge"
        assert lines[at - 2].startswith(f"# HELP gvisor_resolver_{name} ")
    assert len(lines) == 22


def test_a_file_is_put_there_for_everybody_and_nothing_else_or_the_old_one_left(
    tmp_path: Path,
) -> None:
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
    (tmp_path / ".a.prom.new").mkdir()
    with pytest.raises(OSError, match=r"\.a\.prom\.new"):
        write(path, "newer\n")
    assert path.read_text() == "new\n"


def test_a_burst_is_allowed_then_what_comes_back_and_one_has_so_many_of_all_places() -> None:
    rates, few = Rates(per_s=2, burst=3, sources=9), Rates(per_s=0.001, burst=1, sources=2)
    places = Places(most=3, of_one=2)

    burst = [rates.takes("a", 10.0) for _ in range(4)]
    later = [rates.takes("a", 11.25) for _ in range(3)]  # with half a token left
    much_later = [rates.takes("a", 99.0) for _ in range(4)]
    for source in ("quiet", "busy", "busy", "new"):
        few.takes(source, 1.0)
    took, taken = [places.take(source) for source in ("a", "a", "a", "b", "c")], places.taken
    places.leave("a")

    assert (burst, later) == ([True, True, True, False], [True, True, False])
    assert much_later == burst
    assert [few.takes("busy", 1.0), few.takes("quiet", 1.0)] == [False, True], "quiet is forgotten"
    assert (took, taken, places.taken) == ([True, True, False, True, False], 3, 2)
    assert [places.take("a"), places.take("c")] == [True, False]


def test_a_line_a_second_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    now_s = iter((1.0, 1.2, 1.9, 2.1, 2.5, 9.0))
    monkeypatch.setattr(diagnostics, "time", SimpleNamespace(monotonic=now_s.__next__))
    telling = Diagnostics()

    for text in "abcdef":
        telling.tell(text)

    assert capsys.readouterr().err == "a\nd (and 2 more)\nf (and 1 more)\n"


@table("bound, named", path=("{}/notify", "{}/notify"), abstract=("\0{}/notify", "@{}/notify"))
def test_systemd_is_told_where_it_is(
    tmp_path: Path, monkeypatch: Any, bound: str, named: str
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_systemd()
    monkeypatch.setenv("NOTIFY_SOCKET", named.format(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(bound.format(tmp_path))
        systemd.settimeout(10)

        tell_systemd()

        assert systemd.recv(100) == b"READY=1"
