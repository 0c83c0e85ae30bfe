"""Queries to a resolver, and to the resolvers outside, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import exchange, upstream
from pyinfra_gvisor.parts.resolver.forwarder.exchange import (
    Busy,
    Exchange,
    ask_over_tcp,
    framed,
    read_framed,
)
from pyinfra_gvisor.parts.resolver.forwarder.messages import REFUSED, SERVFAIL
from pyinfra_gvisor.parts.resolver.forwarder.upstream import Upstream, nameservers
from tests.table import table
from tests.unit.resolver.resolver_fakes import (
    Answers,
    Hurried,
    answer,
    failing,
    query,
    rcode,
    resolver,
    run,
)

# On loopback a resolver each, all on the same port.
FIRST, SECOND, THIRD, FOURTH = (f"127.0.53.{number}" for number in range(1, 5))
KINDS = [pytest.param(False, id="udp"), pytest.param(True, id="tcp")]


def with_exchange(answers: Answers, job: Callable[[Exchange], Awaitable[object]]) -> object:
    """What comes of a job with a socket to a resolver."""

    async def whole() -> object:
        async with resolver(answers) as port:
            opened = Exchange(connected(port))
            try:
                return await job(opened)
            finally:
                assert opened.waiting == 0
                opened.close()

    return run(whole())


def connected(port: int) -> socket.socket:
    """A socket as the program has it."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    opened.connect(("127.0.0.1", port))
    return opened


def well(message: bytes) -> list[bytes]:
    """An answer."""
    return [answer(message)]


def silent(_: bytes) -> list[bytes]:
    """None."""
    return []


def test_many_queries_have_their_own_answers_whatever_the_order() -> None:
    held: list[bytes] = []
    asked = [query(f"c{number}", number=7) for number in range(100)]

    def late(message: bytes) -> list[bytes]:
        held.append(message)
        return [answer(item) for item in reversed(held)] if len(held) == len(asked) else []

    async def ask(opened: Exchange) -> list[bytes]:
        return await asyncio.gather(*(opened.ask(item, 20) for item in asked))

    assert with_exchange(late, ask) == [answer(item) for item in asked]
    assert len({item[:2] for item in held}) == len(asked)


def test_another_number_or_question_is_not_heard() -> None:
    def confused(message: bytes) -> list[bytes]:
        other = bytes([message[0] ^ 0x55]) + message[1:]
        renamed = message.replace(b"\x02db", b"\x02bd")
        return [b"", b"\0", message, answer(other), answer(renamed), answer(message), b"late"]

    async def ask(opened: Exchange) -> bytes:
        return await opened.ask(query(), 20)

    assert with_exchange(confused, ask) == answer(query())


def test_an_answer_that_comes_twice_is_taken_once() -> None:
    async def ask(opened: Exchange) -> list[bytes]:
        return [await opened.ask(query("a"), 20), await opened.ask(query("b"), 20)]

    said = with_exchange(lambda message: [answer(message)] * 3, ask)

    assert said == [answer(query("a")), answer(query("b"))]


def test_silence_ends_in_time_and_leaves_nothing() -> None:
    async def ask(opened: Exchange) -> int:
        await failing(opened.ask(query(), 0.1), asyncio.TimeoutError)
        return opened.waiting

    assert with_exchange(silent, ask) == 0


def test_an_answer_counts_that_was_there_before_time_was_seen_to_be_up() -> None:
    async def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as docker:
            docker.bind(("127.0.0.1", 0))
            opened = Exchange(connected(docker.getsockname()[1]))
            asking = asyncio.create_task(opened.ask(query(), 0.1))
            await asyncio.sleep(0.01)
            message, sender = docker.recvfrom(512)
            docker.sendto(answer(message), sender)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Hurried)
            loop.now_s += 0.2  # the program has no turn
            said = await asking
            opened.close()
        return said

    assert run(ask()) == answer(query())


def test_that_nobody_listens_is_told_to_all_who_wait() -> None:
    async def ask() -> set[type[BaseException]]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
        opened = Exchange(connected(port))
        asking = [opened.ask(query(f"c{number}"), 20) for number in range(20)]
        ends = await asyncio.gather(*asking, return_exceptions=True)
        assert opened.waiting == 0
        opened.close()
        return {type(end) for end in ends if isinstance(end, BaseException)}

    assert run(ask()) == {ConnectionRefusedError}


def test_who_waits_when_it_is_closed_is_told() -> None:
    async def ask() -> BaseException:
        async with resolver(silent) as port:
            opened = Exchange(connected(port))
            asking = asyncio.create_task(opened.ask(query(), 20))
            await asyncio.sleep(0.05)
            opened.close()
            return await failing(asking, ConnectionResetError)

    assert str(run(ask())) == "closed"


def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MOST_WAITING", 3)

    async def ask(opened: Exchange) -> int:
        asking = [asyncio.create_task(opened.ask(query(), 0.3)) for _ in range(3)]
        await asyncio.sleep(0.05)
        await failing(opened.ask(query(), 20), Busy)
        waiting = opened.waiting
        await asyncio.gather(*asking, return_exceptions=True)
        return waiting

    assert with_exchange(silent, ask) == 3


def test_a_socket_that_takes_no_more_is_busy() -> None:
    class Full(socket.socket):
        def send(self, *_: object) -> int:
            raise BlockingIOError(11, "no session")

    async def ask() -> BaseException:
        opened = Exchange(Full(socket.AF_INET, socket.SOCK_DGRAM))
        end = await failing(opened.ask(query(), 20), Busy)
        assert opened.waiting == 0
        opened.close()
        return end

    assert isinstance(run(ask()), Busy)


def over_tcp(answers: Answers) -> bytes:
    """What comes over a connection."""

    async def ask() -> bytes:
        async with resolver(answers) as port:
            opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                return await ask_over_tcp(opened, ("127.0.0.1", port), query())
            finally:
                await asyncio.sleep(0.05)
                assert opened.fileno() == -1

    return run(ask())


def test_an_answer_over_tcp_may_be_large_and_the_connection_is_closed() -> None:
    large = answer(query()).ljust(60000, b"x")

    assert over_tcp(lambda _: [large]) == large


def test_another_answer_over_tcp_is_an_error() -> None:
    with pytest.raises(ConnectionResetError, match="does not match the query"):
        over_tcp(lambda _: [answer(query("other"))])


def test_a_connection_that_is_refused_is_closed() -> None:
    async def ask() -> int:
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        await failing(ask_over_tcp(opened, ("127.0.0.1", 9), query()), ConnectionRefusedError)
        return opened.fileno()

    assert run(ask()) == -1


@table(
    "sent",
    {
        "nothing": b"",
        "half a length": b"\0",
        "half a message": framed(query())[:-1],
        "too long": b"\x10\x01" + bytes(5000),
    },
)
def test_a_message_that_is_not_whole_is_an_error(sent: bytes) -> None:
    async def read() -> BaseException:
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        return await failing(read_framed(reader, 4096), ConnectionResetError)

    assert str(run(read())) in (
        "the connection ended within a message",
        "a message of 4097 bytes is too large",
    )


def ask(
    resolvers: dict[str, Answers],
    monkeypatch: pytest.MonkeyPatch,
    *,
    stream: bool,
    asked: Sequence[str] = (FIRST, SECOND, THIRD, FOURTH),
    error: type[BaseException] | None = None,
) -> bytes | BaseException:
    """What is said, of resolvers by address."""

    async def job() -> bytes | BaseException:
        async with contextlib.AsyncExitStack() as stack:
            port = 0
            for host, answers in resolvers.items():
                port = await stack.enter_async_context(resolver(answers, host, port))
            monkeypatch.setattr(upstream, "PORT", port or 9)
            asking = Upstream().ask(query(), asked, stream=stream)
            return await asking if error is None else await failing(asking, error)

    return run(job())


@pytest.mark.parametrize("stream", KINDS)
@table(
    "first",
    {
        "nobody listens": {},
        "silent": {FIRST: silent},
        "fails": {FIRST: lambda message: [answer(message, SERVFAIL)]},
        "refuses": {FIRST: lambda message: [answer(message, REFUSED)]},
    },
)
def test_where_the_first_does_not_help_the_second_answers(
    first: dict[str, Answers], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask({**first, SECOND: well}, monkeypatch, stream=stream) == answer(query())


CUT = answer(query())[:2] + b"\x83\x80" + answer(query())[4:]
LARGE = answer(query()).ljust(65535, b"x")


@table(
    "said, stream",
    {
        "no such name": (answer(query(), 3), False),
        "no such name over tcp": (answer(query(), 3), True),
        "truncated, for who asked to ask again": (CUT, False),
        "large": (LARGE, True),
    },
)
def test_the_first_answer_is_passed_on(
    said: bytes, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask({FIRST: lambda _: [said], SECOND: well}, monkeypatch, stream=stream) == said


@pytest.mark.parametrize("stream", KINDS)
def test_if_all_fail_the_failure_is_told(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    resolvers = {
        SECOND: lambda message: [answer(message, REFUSED)],
        THIRD: lambda message: [answer(message, SERVFAIL)],
    }

    said = ask(resolvers, monkeypatch, stream=stream)

    assert isinstance(said, bytes)
    assert rcode(said) == REFUSED


@pytest.mark.parametrize("stream", KINDS)
def test_no_more_than_three_are_asked(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ask({FOURTH: well}, monkeypatch, stream=stream, error=OSError)

    assert str(said).count("ConnectionRefusedError") == 3


def test_nobody_to_ask_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asking = Upstream(resolv_conf=tmp_path / "none").ask(query(), (), stream=False)

    assert str(run(failing(asking, OSError))) == "no resolver is known"


def test_what_answers_something_else_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def confused(message: bytes) -> list[bytes]:
        other = answer(message, 3)
        return [
            b"",
            b"\0",
            message,
            bytes([other[0] ^ 1]) + other[1:],
            answer(query("other")),
            answer(message),
        ]

    assert ask({FIRST: confused}, monkeypatch, stream=False) == answer(query())


def test_over_tcp_another_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [answer(query("other"))]

    assert ask({FIRST: lambda _: other, SECOND: well}, monkeypatch, stream=True) == answer(query())


@pytest.mark.parametrize("wrong", ["not an address", "a..b", "x" * 70, "fe80::1%nowhere"])
def test_an_odd_resolver_is_passed_over(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ask({SECOND: well}, monkeypatch, stream=False, asked=[wrong, SECOND])

    assert said == answer(query())


TEXT = """\
# nameserver 192.0.2.9
; nameserver 192.0.2.9
nameserver 192.0.2.1
  nameserver\t2001:db8::1  # the second
nameserver fe80::1%eth0
nameserver
nameserver resolver.example
nameservers 192.0.2.9
search example
nameserver 127.0.0.53
"""


def test_a_resolv_conf_is_read_as_it_is() -> None:
    expected = ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "127.0.0.53"]

    assert [*nameservers(TEXT)] == expected
    assert [*nameservers("")] == []


def test_the_containers_own_come_first_then_dockerds_then_the_nodes(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\n")
    named, unnamed = (Upstream(dns, resolv_conf=path) for dns in (["192.0.2.2"], []))

    assert named.resolvers(["192.0.2.3"]) == ("192.0.2.3",)
    assert named.resolvers([]) == ("192.0.2.2",)
    assert unnamed.resolvers([]) == ("192.0.2.1",)


def test_those_on_loopback_are_left_to_dockerd(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.1\n")

    assert Upstream(resolv_conf=path).resolvers([]) == ("192.0.2.1",)


def test_behind_systemd_resolved_its_own_resolvers_are_asked(tmp_path: Path) -> None:
    path, other = tmp_path / "resolv.conf", tmp_path / "resolved.conf"
    path.write_text("nameserver 127.0.0.53\noptions edns0\n")
    other.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    asked = Upstream(resolv_conf=path, resolveds_conf=other)

    assert asked.resolvers([]) == ("192.0.2.1", "192.0.2.2")

    path.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.3\n")

    assert asked.resolvers([]) == ("192.0.2.3",)


def test_the_nodes_are_those_of_now_and_else_those_of_before(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\n")
    asked = Upstream(resolv_conf=path)
    first = asked.resolvers([])

    path.write_bytes(b"\xff\xfe\nnameserver 192.0.2.2\n")
    changed = asked.resolvers([])
    path.unlink()
    gone = asked.resolvers([])

    assert (first, changed, gone) == (("192.0.2.1",), ("192.0.2.2",), ("192.0.2.2",))
