"""DNS messages, queries to a resolver, and to those outside, one after the other."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.resolver.forwarder import exchange, messages, upstream
from pyinfra_gvisor.parts.resolver.forwarder.messages import REFUSED, SERVFAIL
from pyinfra_gvisor.parts.resolver.forwarder.upstream import Upstream, nameservers
from tests.table import table
from tests.unit.resolver.resolver_fakes import answer, failing, looped, query, resolver, run, well

# On loopback a resolver each, all on the same port.
FIRST, SECOND, THIRD, FOURTH = (f"127.0.53.{number}" for number in range(1, 5))
KINDS = table("stream", udp=False, tcp=True)


@contextlib.asynccontextmanager
async def exchange_with(answers: Any) -> AsyncIterator[exchange.Exchange]:
    """A socket to a resolver, for which nobody waits at the end."""
    async with resolver(answers) as port:
        opened = exchange.Exchange(connected(port))
        yield opened
        assert opened.waiting == 0
        opened.close()


def connected(port: int) -> socket.socket:
    """A socket as the program has it."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    opened.connect(("127.0.0.1", port))
    return opened


def silent(_: bytes) -> list[bytes]:
    """None."""
    return []


@looped
async def test_many_queries_have_their_own_answers_whatever_the_order() -> None:
    held: list[bytes] = []
    asked = [query(f"c{number}", number=7) for number in range(100)]

    def late(message: bytes) -> list[bytes]:
        held.append(message)
        return [answer(item) for item in reversed(held)] if len(held) == len(asked) else []

    async with exchange_with(late) as opened:
        said = await asyncio.gather(*(opened.ask(item, 20) for item in asked))

    assert said == [answer(item) for item in asked]
    assert len({item[:2] for item in held}) == len(asked)


def confused(message: bytes) -> list[bytes]:
    """Much that is no answer, and the answer twice."""
    other = bytes([message[0] ^ 0x55]) + message[1:]
    renamed = answer(message[:13] + bytes([message[13] ^ 1]) + message[14:])
    return [b"", b"\0", message, answer(other), renamed, *[answer(message)] * 2, b"late"]


@looped
async def test_another_number_or_question_is_not_heard_and_an_answer_is_taken_once() -> None:
    async with exchange_with(confused) as opened:
        for name in ("db", "other"):
            assert await opened.ask(query(name), 20) == answer(query(name))
    assert await ask({FIRST: confused}) == answer(query()), "nor from a resolver outside"


@looped
async def test_an_answer_counts_that_was_there_before_time_was_seen_to_be_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as docker:
        docker.bind(("127.0.0.1", 0))
        opened = exchange.Exchange(connected(docker.getsockname()[1]))
        asking = asyncio.create_task(opened.ask(query(), 0.1))
        await asyncio.sleep(0.01)
        message, sender = docker.recvfrom(512)
        docker.sendto(answer(message), sender)
        loop: Any = asyncio.get_running_loop()
        loop.now_s += 0.2  # the program has no turn
        said = await asking
        opened.close()

    assert said == answer(query())


@looped
async def test_all_who_wait_are_told_that_nobody_listens_or_that_it_was_closed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
        reserved.bind(("127.0.0.1", 0))
        nobody = exchange.Exchange(connected(reserved.getsockname()[1]))
    asked = [nobody.ask(query(f"c{number}"), 20) for number in range(20)]

    ends = await asyncio.gather(*asked, return_exceptions=True)

    assert {type(end) for end in ends} == {ConnectionRefusedError}
    assert nobody.waiting == 0
    nobody.close()
    async with resolver(silent) as port:
        opened = exchange.Exchange(connected(port))
        asking = asyncio.create_task(opened.ask(query(), 20))
        await asyncio.sleep(0.05)
        opened.close()
        assert str(await failing(asking, ConnectionResetError)) == "closed"


@looped
async def test_silence_ends_in_time_and_no_more_wait_than_may(monkeypatch: Any) -> None:
    monkeypatch.setattr(exchange, "MOST_WAITING", 3)

    async with exchange_with(silent) as opened:
        await failing(opened.ask(query(), 0.1), asyncio.TimeoutError)
        assert opened.waiting == 0
        asking = [asyncio.create_task(opened.ask(query(), 0.3)) for _ in range(3)]
        await asyncio.sleep(0.05)
        await failing(opened.ask(query(), 20), exchange.Busy)
        assert opened.waiting == 3
        await asyncio.gather(*asking, return_exceptions=True)


@looped
async def test_a_socket_that_takes_no_more_is_busy() -> None:
    class Full(socket.socket):
        def send(self, *_: object) -> int:
            raise BlockingIOError(11, "no session")

    opened = exchange.Exchange(Full(socket.AF_INET, socket.SOCK_DGRAM))

    await failing(opened.ask(query(), 20), exchange.Busy)

    assert opened.waiting == 0
    opened.close()


async def over_tcp(port: int) -> bytes:
    """What comes over a connection, which is closed then."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        return await exchange.ask_over_tcp(opened, ("127.0.0.1", port), query())
    finally:
        await asyncio.sleep(0.05)
        assert opened.fileno() == -1


@looped
async def test_an_answer_over_tcp_may_be_large_but_no_other_and_the_connection_is_closed() -> None:
    large = answer(query()).ljust(60000, b"x")

    async with resolver(lambda _: [large]) as port:
        assert await over_tcp(port) == large
    async with resolver(lambda _: [answer(query("other"))]) as port:
        error = await failing(over_tcp(port), ConnectionResetError)
    await failing(over_tcp(9), ConnectionRefusedError)

    assert "does not match the query" in str(error)


HALF, TOO_LONG = exchange.framed(query())[:-1], b"\x10\x01" + bytes(5000)


@table("sent", nothing=b"", half_a_message=HALF, too_long=TOO_LONG)
@looped
async def test_a_message_that_is_not_whole_is_an_error(sent: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()

    error = await failing(exchange.read_framed(reader, 4096), ConnectionResetError)

    assert re.search("ended within a message|message of 4097 bytes is too large", str(error))


async def ask(
    resolvers: dict[str, Any],
    stream: bool = False,
    asked: Sequence[str] = (FIRST, SECOND, THIRD, FOURTH),
) -> bytes:
    """What is said, of resolvers by address."""
    async with contextlib.AsyncExitStack() as stack:
        port = 0
        for host, answers in resolvers.items():
            port = await stack.enter_async_context(resolver(answers, host, port))
        with mock.patch.object(upstream, "PORT", port or 9):
            return await Upstream().ask(query(), asked, stream=stream)


@KINDS
@table(
    "first",
    nobody_listens={},
    silent={FIRST: silent},
    fails={FIRST: lambda message: [answer(message, SERVFAIL)]},
)
def test_the_second_helps_where_the_first_does_not(first: dict[str, Any], stream: bool) -> None:
    said = run(ask({**first, SECOND: well}, stream))

    assert said == answer(query())


CUT = answer(query())[:2] + b"\x83\x80" + answer(query())[4:]
LARGE = answer(query()).ljust(65535, b"x")


@table(
    "said, stream",
    no_such_name=(answer(query(), 3), False),
    no_such_name_over_tcp=(answer(query(), 3), True),
    truncated_for_who_asked_to_ask_again=(CUT, False),
    large=(LARGE, True),
)
def test_the_first_answer_is_passed_on(said: bytes, stream: bool) -> None:
    resolvers = {FIRST: lambda _: [said], SECOND: well}

    assert run(ask(resolvers, stream)) == said


def refuses(message: bytes) -> list[bytes]:
    """Another may know."""
    return [answer(message, REFUSED)]


@KINDS
def test_if_all_fail_the_failure_is_told_and_no_more_than_three_are_asked(stream: bool) -> None:
    resolvers = {SECOND: refuses, THIRD: lambda message: [answer(message, SERVFAIL)]}

    failure = run(ask(resolvers, stream))
    error = run(failing(ask({FOURTH: well}, stream), OSError))

    assert failure == answer(query(), REFUSED)
    assert str(error).count("ConnectionRefusedError") == 3


@pytest.mark.parametrize("wrong", ["not an address", "a..b", "x" * 70, "fe80::1%nowhere"])
def test_an_odd_resolver_is_passed_over_and_nobody_to_ask_is_an_error(
    tmp_path: Path, wrong: str
) -> None:
    asking = Upstream(resolv_conf=tmp_path / "none").ask(query(), (), stream=False)

    assert run(ask({SECOND: well}, asked=[wrong, SECOND])) == answer(query())
    assert str(run(failing(asking, OSError))) == "no resolver is known"


TEXT = """\
# nameserver 192.0.2.9
nameserver 192.0.2.1
  nameserver\t2001:db8::1  # the second
nameserver fe80::1%eth0
nameserver
nameserver resolver.example
nameservers 192.0.2.9
nameserver 127.0.0.53
"""


def test_the_containers_own_come_first_then_dockerds_then_those_of_resolv_conf(
    tmp_path: Path,
) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.1\n")
    named, unnamed = (Upstream(dns, resolv_conf=path) for dns in (["192.0.2.2"], []))

    assert named.resolvers(["192.0.2.3"]) == ("192.0.2.3",)
    assert named.resolvers([]) == ("192.0.2.2",)
    assert unnamed.resolvers([]) == ("192.0.2.1",)  # those on loopback are left to dockerd
    assert [*nameservers(TEXT)] == ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "127.0.0.53"]
    assert [*nameservers("")] == []


def test_behind_systemd_resolved_its_own_are_asked_and_those_of_before_if_there_are_none_now(
    tmp_path: Path,
) -> None:
    path, other = tmp_path / "resolv.conf", tmp_path / "resolved.conf"
    path.write_text("nameserver 127.0.0.53\noptions edns0\n")
    other.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    asked = Upstream(resolv_conf=path, resolveds_conf=other)

    resolveds = asked.resolvers([])
    path.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.3\n")
    second = asked.resolvers([])
    path.write_bytes(b"\xff\xfe\nnameserver 192.0.2.4\n")
    changed = asked.resolvers([])
    path.unlink()

    assert (resolveds, second) == (("192.0.2.1", "192.0.2.2"), ("192.0.2.3",))
    assert (changed, asked.resolvers([])) == (("192.0.2.4",), ("192.0.2.4",))


WITH_EDNS = query()[:11] + b"\x01" + query()[12:] + bytes.fromhex("00002904d0000000000000")
NAMES = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=63),
    min_size=1,
    max_size=3,
).map(".".join)


@table(
    "message, expected",
    IPv6=(query("db", kind=28), True),
    no_recursion_desired=(query("db", flags=0), True),
    EDNS_behind_the_question=(WITH_EDNS, True),
    the_root=(query()[:12] + b"\0" + b"\0\x02\0\x01", True),
    an_answer=(answer(query()), False),
    a_dynamic_update=(query(flags=0x2900), False),
    a_notice=(query(flags=0x2000), False),
    no_question=(query()[:4] + b"\0\0" + query()[6:], False),
    two_questions=(query()[:4] + b"\0\2" + query()[6:] * 2, False),
    a_name_that_points_at_itself=(query()[:12] + b"\xc0\x0c\0\1\0\1", False),
    more_than_any_question_has=(query() + bytes(messages.MOST_QUERY_BYTES), False),
)
def test_a_query_has_one_question_and_nothing_else_is_one(message: bytes, expected: bool) -> None:
    assert messages.is_query(message) is expected


@table(
    "message, expected",
    other_letters=(answer(query("DB")), True),
    refused_without_the_question=(query()[:2] + b"\x81\x85" + bytes(8), True),
    half_a_header=(answer(query("db"))[:11], False),
    the_query_itself=(query("db"), False),
    another_number=(answer(query("db", number=8)), False),
    another_name=(answer(query("db2")), False),
    another_type=(answer(query("db", kind=28)), False),
    well_but_without_the_question=(query()[:2] + b"\x81\x80" + bytes(8), False),
    half_a_question=(answer(query("db"))[:14], False),
)
def test_an_answer_is_known_by_number_and_question(message: bytes, expected: bool) -> None:
    assert messages.is_answer_to(query("db"), message) is expected


def test_a_failure_has_number_question_and_flags_of_the_query_of_which_half_is_none() -> None:
    said, asked = messages.failure(WITH_EDNS, messages.SERVFAIL), query("db.example")

    assert said.hex(" ", 2) == "0007 8182 0001 0000 0000 0000 0264 6200 0001 0001"
    assert messages.is_answer_to(WITH_EDNS, said)
    assert [cut for cut in range(len(asked) + 1) if messages.is_query(asked[:cut])] == [len(asked)]


@table(
    "rcode, expected",
    well=(0, False),
    no_name=(3, False),
    failed=(messages.SERVFAIL, True),
    refused=(messages.REFUSED, True),
)
def test_another_may_know_what_one_fails_at_and_without_records_nothing_is_told(
    rcode: int, expected: bool
) -> None:
    assert messages.is_failure(answer(query(), rcode)) is expected
    assert messages.has_records(answer(query(), rcode)) is (rcode == 0)
    assert not messages.has_records(messages.failure(query(), messages.SERVFAIL))


@given(st.binary(max_size=80), st.binary(max_size=80))
@example(b"", b"")
@example(query()[:12] + b"\x3f", query()[:12] + b"\xff")
def test_no_bytes_make_it_raise(message: bytes, other: bytes) -> None:
    said = messages.failure(message, messages.SERVFAIL)

    assert messages.code(said) == messages.SERVFAIL
    assert len(said) == 12 + len(messages.question(message) or b"")
    assert messages.is_query(message) in (True, False)
    assert messages.is_answer_to(message, other) in (True, False)
    assert messages.is_answer_to(message, message[:2] + other) in (True, False)


@given(NAMES, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 15))
def test_every_name_goes_there_and_back(name: str, number: int, other: int, rcode: int) -> None:
    asked = query(name, number)
    sent = messages.with_identity(asked, other)

    said = messages.with_identity(answer(sent, rcode), number)

    assert messages.is_query(asked)
    assert messages.is_answer_to(asked, said)
    assert messages.is_answer_to(sent, answer(sent, rcode))
    assert messages.identity(said) == number
    assert messages.code(said) == rcode
    assert messages.question(said) == messages.question(asked) == asked[12:]
