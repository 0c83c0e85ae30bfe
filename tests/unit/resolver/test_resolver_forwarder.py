"""From a container's query to its answer: Docker, the resolvers outside, and what is refused."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinfra_gvisor.parts.resolver.forwarder import forwarder
from pyinfra_gvisor.parts.resolver.forwarder.counters import Counters
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import EngineError, Source
from pyinfra_gvisor.parts.resolver.forwarder.exchange import Busy, framed, read_framed
from pyinfra_gvisor.parts.resolver.forwarder.forwarder import Forwarder, plain
from pyinfra_gvisor.parts.resolver.forwarder.messages import REFUSED, SERVFAIL, failure, reverse
from pyinfra_gvisor.parts.resolver.forwarder.namespaces import Gone
from pyinfra_gvisor.parts.resolver.forwarder.sessions import UnknownSource
from tests.table import table
from tests.unit.resolver.resolver_fakes import answer, looped, query, run

LOOPBACK = socket.if_nametoindex("lo")
Says = Callable[[bytes], Any]
BOTH = table("stream", udp=False, tcp=True)


docker, outside = (partial(answer, address=it) for it in ("172.18.0.2", "198.51.100.1"))
unknown, fails, refuses = (partial(answer, rcode=code) for code in (3, SERVFAIL, REFUSED))


def lost(_: bytes) -> float:
    """Nothing is said for longer than anybody waits."""
    return 12.0


def nobody(_: bytes) -> Exception:
    """There is no resolver outside."""
    return OSError("nobody outside")


def in_turn(*each: Says) -> Says:
    """The first says something at first, the last at last."""
    left = [*each]

    def says(message: bytes) -> Any:
        return (left.pop(0) if len(left) > 1 else left[0])(message)

    return says


class Fake:
    """
    Sessions, the only session and the resolvers outside.

    ``docker`` and ``outside`` say what becomes of a query: bytes, an error, or a number of
    seconds of silence. Whose its own address is Docker says at once unless it is ``slow``.
    ``own``: how often it was asked for that; ``asked``: who was asked for the rest, in turn, and
    "waited" where Docker was waited for. ``stays``: it never knows all containers again.
    """

    docker_late_s = outside_late_s = 0.0
    leads_out, is_refused, is_settling, slow, stays = True, False, False, False, False
    error: Exception | None = None
    is_outspoken: bool | None = None
    hearing: asyncio.Task[bytes] | None = None
    own = 0
    resolvers = ("192.0.2.1",)

    def __init__(self, docker: Says, outside: Says = nobody, **given: Any) -> None:
        vars(self).update(given, docker=docker, outside=outside)
        self.streams: set[bool] = set()
        self.whose: list[tuple[str, int | None]] = []
        self.asked: list[str] = []

    async def of(self, address: str, interface: int | None) -> "tuple[Source, Fake]":
        self.whose.append((address, interface))
        if self.error is not None:
            raise self.error
        return Source(address, "c" * 64, "02:00", "lo", self.leads_out), self

    def is_settled_since(self, _: float) -> bool:
        return not self.is_settling

    async def settle(self, session: "Fake", end_s: float) -> None:
        assert session is self
        self.asked.append("waited")
        await asyncio.sleep(end_s - time.monotonic() if self.stays else 1)
        if self.stays:
            raise TimeoutError
        self.is_settling = False

    async def ask(self, query: bytes, *others: Any, stream: bool) -> bytes:
        if query == reverse("127.0.0.1"):
            self.own += 1
            await asyncio.sleep(self.docker_late_s if self.slow else 0)
            return query
        assert others in ((), (self.resolvers,))
        who = "outside" if others else "docker"
        self.asked.append(who)
        self.streams.add(stream)
        await asyncio.sleep(getattr(self, f"{who}_late_s"))
        said = vars(self)[who](query)
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

    @contextlib.asynccontextmanager
    async def by(self, datagrams: socket.socket, host: str) -> AsyncIterator[None]:
        """Have it listen on this socket too, and ask there."""
        with datagrams:
            datagrams.bind((host, 0))
            self.forwarder.listen(datagrams)
            self.asker.close()
            flags = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            self.asker = socket.socket(datagrams.family, flags)
            self.asker.connect(datagrams.getsockname()[:2])
            yield
            asyncio.get_running_loop().remove_reader(datagrams.fileno())

    def send(self, *messages: bytes) -> None:
        """Ask over UDP."""
        for message in messages:
            self.asker.send(message)

    async def asked(self, message: bytes) -> bytes | None:
        """The answer over UDP, if there is one."""
        self.send(message)
        return await self.heard()

    async def heard(self) -> bytes | None:
        """The next answer, if there is one."""
        with contextlib.suppress(asyncio.TimeoutError):
            loop = asyncio.get_running_loop()
            return await asyncio.wait_for(loop.sock_recv(self.asker, 65535), 20)
        return None

    async def over_tcp(self, *messages: bytes) -> list[bytes]:
        """The answers until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.tcp_port)
        writer.write(b"".join(map(framed, messages)))
        writer.write_eof()
        said = []
        with contextlib.suppress(ConnectionResetError):
            while True:
                said.append(await asyncio.wait_for(read_framed(reader), 20))
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
                return await made.over_tcp(*messages), made.outcomes
            said = [await made.asked(message) for message in messages]
            assert made.forwarder.waiting == 0
            return [item for item in said if item is not None], made.outcomes

    found = run(whole())
    assert fake.streams == {stream}
    return found


@BOTH
def test_docker_answers_and_nobody_else_is_asked(stream: bool) -> None:
    fake = Fake(docker, outside)

    assert told(fake, query("a"), query("b", 9), stream=stream) == (
        [docker(query("a")), docker(query("b", 9))],
        {"docker": 2},
    )
    assert fake.asked == ["docker"] * 2
    assert set(fake.whose) == {("127.0.0.1", None if stream else LOOPBACK)}


@BOTH
@table(
    "says",
    fails=fails,
    refuses=refuses,
    silent=lost,
    silent_then_wrong=lambda _: 0.9,
)
def test_what_docker_does_not_say_is_asked_outside(says: Says, stream: bool) -> None:
    fake = Fake(says, outside)

    assert told(fake, query(), stream=stream) == ([outside(query())], {"upstream": 1})
    assert fake.asked == ["docker", "outside"]


LATE = {"docker_late_s": 0.9}
LATER = {**LATE, "outside_late_s": 1.5}
STARTS: dict[str, Any] = {"is_settling": True}
INSIDE = {**STARTS, "leads_out": False}
AGAIN = ("dowd", "docker")
MOVED = in_turn(lambda _: Gone("left"), docker)
RESTARTS = {"is_refused": True, "docker_late_s": 0.9}


@table(
    "fake, says, asked, outcome",
    docker_knows_of_no_such_name=(Fake(unknown, outside), unknown, "d", "docker"),
    only_on_internal_networks=(Fake(fails, outside, leads_out=False), fails, "d", "docker"),
    late_and_outside_fails=(Fake(docker, **LATE), docker, "do", "docker"),
    late_but_first=(Fake(docker, unknown, **LATER), docker, "do", "docker"),
    slow_not_silent=(Fake(docker, unknown, **LATE, slow=True), docker, "d", "docker"),
    lost_once=(Fake(in_turn(lost, docker), unknown), docker, "dodd", "docker"),
    lost_twice=(Fake(in_turn(lost, lost, docker), unknown), docker, "dodd", "docker"),
    fails_at_first=(Fake(in_turn(fails, docker), unknown, **STARTS), docker, *AGAIN),
    silent_at_first=(Fake(in_turn(lost, docker), unknown, **STARTS), docker, *AGAIN),
    denies_at_first=(Fake(in_turn(unknown, docker), **STARTS), docker, "dwd", "docker"),
    the_same_inside=(Fake(in_turn(unknown, docker), **INSIDE), docker, "dwd", "docker"),
    and_fails_there=(Fake(in_turn(fails, docker), **INSIDE), docker, "dwd", "docker"),
    denies_it_at_last_too=(Fake(unknown, **STARTS), unknown, "dwd", "docker"),
    starts_and_others_know=(Fake(fails, outside, **STARTS), outside, "do", "upstream"),
    restarts_and_others_do_not=(Fake(docker, unknown, **RESTARTS), docker, "do", "docker"),
    came_to_another_network=(Fake(MOVED), docker, "dd", "docker"),
    nobody_knows_it_said_at_once=(Fake(fails, unknown), unknown, "do", "upstream"),
    restarts_and_others_do=(Fake(docker, outside, **RESTARTS), outside, "do", "upstream"),
    silent_as_always_about_what_it_lacks=(Fake(lost, unknown), unknown, "dodd", "upstream"),
)
def test_who_can_know_answers(fake: Fake, says: Says, asked: str, outcome: str) -> None:
    """``asked``: who was asked, Docker or others, and where there was a wait, in turn."""
    assert told(fake, query()) == ([says(query())], {outcome: 1})
    assert "".join(who[0] for who in fake.asked) == asked


def test_if_both_fail_who_asks_is_told_and_an_error_that_nobody_thought_of(capsys: Any) -> None:
    said = told(Fake(lost), query("secret-name"))
    error = capsys.readouterr().err
    after_an_odd_one = told(Fake(in_turn(lambda _: ValueError("odd"), docker)), query(), query())

    assert said == ([failure(query("secret-name"), SERVFAIL)], {"failed": 1})
    assert error == "127.0.0.1 of container cccccccccccc: TimeoutError('silent')\n"
    assert after_an_odd_one == ([docker(query())], {"docker": 1})
    assert capsys.readouterr().err == "127.0.0.1: ValueError('odd')\n"


def test_while_docker_does_not_know_all_containers_or_says_nothing_no_name_is_denied() -> None:
    unsettled = Fake(unknown, **STARTS, stays=True)
    mute = Fake(lost, unknown, slow=True, docker_late_s=3.0)

    assert [told(fake, query()) for fake in (unsettled, mute)] == [
        ([failure(query(), SERVFAIL)], {"failed": 1})
    ] * 2
    assert (unsettled.asked, mute.is_outspoken) == (["docker", "waited"], None)


def test_a_docker_that_is_silent_and_was_not_before_may_know_the_name() -> None:
    fake = Fake(lambda message: (lost if b"db" in message else fails)(message), unknown)

    said = told(fake, query("shop"), query("db", 9))

    expected = [unknown(query("shop")), failure(query("db", 9), SERVFAIL)]
    assert said == (expected, {"upstream": 1, "failed": 1})


@looped
async def test_those_who_wait_for_a_slow_docker_hear_of_it_together() -> None:
    fake = Fake(docker, unknown, slow=True, docker_late_s=1.0)

    async with running(fake) as made:
        made.send(*(query(number=number) for number in range(20)))
        await asyncio.sleep(0.7)  # they have begun to listen
        made.send(*(query(number=number) for number in range(20, 40)))
        said = {await made.heard() for _ in range(40)}

    assert said == {docker(query(number=number)) for number in range(40)}
    assert 1 <= fake.own <= 3
    assert set(fake.asked) == {"docker"}


@table("wrong, outcome", busy=(Busy(), "busy"), error=(OSError("no"), "failed"))
def test_what_goes_wrong_here_is_not_asked_outside(wrong: Exception, outcome: str) -> None:
    fake = Fake(lambda _: wrong, outside)

    assert told(fake, query()) == ([failure(query(), SERVFAIL)], {outcome: 1})
    assert fake.asked == ["docker"]


@BOTH
@table(
    "fake, message, outcome",
    a_stranger=(Fake(docker, error=UnknownSource("127.0.0.1")), query(), "stranger"),
    nobody_knows=(Fake(docker, error=EngineError("no Docker")), query(), "failed"),
    an_answer=(Fake(docker), answer(query()), "malformed"),
    half_a_query=(Fake(docker), query()[:-1], "malformed"),
)
@looped
async def test_strangers_hear_nothing(fake: Fake, message: Any, outcome: str, stream: bool) -> None:
    async with running(fake) as made:
        said = await (made.over_tcp(message, query()) if stream else made.asked(message))

        assert not said
        assert made.outcomes == {outcome: 1}


def test_more_than_the_rate_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "BURST", 3.0)
    monkeypatch.setattr(forwarder, "PER_S", 0.001)

    said, outcomes = told(Fake(docker), *[query()] * 5, stream=True)

    assert said == [docker(query())] * 3
    assert outcomes == {"docker": 3, "rate": 1}


@pytest.mark.parametrize("limit", ["MOST_TASKS", "MOST_OF_ONE"])
@looped
async def test_more_than_may_wait_is_not_answered(limit: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(forwarder, limit, 2)

    async with running(Fake(lambda _: 0.5)) as made:
        made.send(*(query(number=number) for number in range(5)))
        said = [await made.heard() for _ in range(3)]
        await made.asked(query())

        assert len([item for item in said if item]) == 2
        assert made.outcomes == {"failed": 3, "busy": 3}


@looped
async def test_who_has_an_answer_may_ask_at_once_for_more() -> None:
    waiting: list[int] = []
    loop = asyncio.get_running_loop()

    class Answering(socket.socket):
        def sendto(self, *arguments: Any) -> int:
            loop.call_soon(lambda: waiting.append(made.forwarder.waiting))
            return super().sendto(*arguments)

    async with (
        running(Fake(docker)) as made,
        made.by(Answering(socket.AF_INET, socket.SOCK_DGRAM), "127.0.0.1"),
    ):
        assert await made.asked(query()) == docker(query())

    assert waiting == [0]


@looped
async def test_one_source_has_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "MOST_CONNECTIONS_OF_ONE", 1)

    async with running(Fake(docker)) as made:
        _, writer = await asyncio.open_connection("127.0.0.1", made.tcp_port)
        await asyncio.sleep(0.1)
        second = await made.over_tcp(query())
        writer.close()
        await asyncio.sleep(0.1)

        assert (second, await made.over_tcp(query())) == ([], [docker(query())])
        assert made.outcomes == {"busy": 1, "docker": 1}


@table("sent", nothing=b"", half_a_length=b"\0", half_a_query=framed(query())[:-1])
@looped
async def test_a_connection_that_says_too_little_is_ended(sent: bytes) -> None:
    async with running(Fake(docker)) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.tcp_port)
        writer.write(sent)

        assert await asyncio.wait_for(reader.read(), 2 * forwarder.IDLE_S) == b""
        writer.close()


@looped
async def test_a_connection_that_is_gone_at_once_is_no_error() -> None:
    writer = mock.Mock(get_extra_info=lambda _: None)

    async with running(Fake(docker)) as made:
        await made.forwarder.serve(asyncio.StreamReader(), writer)

        assert made.outcomes == {}
    writer.close.assert_called_once_with()


@st.composite
def odd(draw: st.DrawFn) -> bytes:
    """A query of which bytes are changed, some are missing and others are too many."""
    names = st.sampled_from(("db", "www.outside.test", "a" * 63, "\xff"))
    kinds = st.sampled_from((1, 28, 41, 252, 255, 65535))
    message = bytearray(query(draw(names), draw(st.integers(0, 0xFFFF)), draw(kinds)))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 255)), max_size=4)):
        message[at] = byte
    end = draw(st.integers(0, len(message)) | st.just(len(message)))
    return bytes(message[:end]) + draw(st.binary(max_size=60))


@given(
    st.lists(odd() | st.binary(max_size=60), max_size=20),
    st.lists(st.tuples(odd().map(framed) | odd() | st.just(b""), st.booleans()), max_size=5),
)
@settings(max_examples=30)
def test_no_datagram_ends_it(datagrams: list[bytes], streams: list[tuple[bytes, bool]]) -> None:
    async def whole() -> None:
        async with running(Fake(docker)) as made:
            made.send(*datagrams)
            for stream, is_reset in streams:
                _, writer = await asyncio.open_connection("127.0.0.1", made.tcp_port)
                writer.write(stream)
                writer.transport.abort() if is_reset else writer.close()
            await asyncio.sleep(2 * forwarder.IDLE_S)
            assert made.forwarder.waiting == 0
            made.send(query("end", 0xBEEF))
            while (said := await made.heard()) != docker(query("end", 0xBEEF)):
                assert said is not None
            assert await made.over_tcp(query()) == [docker(query())]

    run(whole())


@table(
    "address, expected",
    IPv4=("172.18.0.2", "172.18.0.2"),
    IPv4_in_IPv6=("::ffff:172.18.0.2", "172.18.0.2"),
    IPv6=("FD00:0:0::2", "fd00::2"),
    with_a_zone=("fe80::1%eth0", "fe80::1"),
)
def test_an_address_is_written_as_docker_does(address: str, expected: str) -> None:
    assert plain(address) == expected


@looped
async def test_over_ipv6_the_source_and_its_interface_are_seen_too() -> None:
    fake = Fake(docker)
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    async with running(fake) as made, made.by(datagrams, "::1"):
        assert await made.asked(query()) == docker(query())

    assert fake.whose == [("::1", LOOPBACK)]
