"""What a forwarder does not answer, and what does not end it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinfra_gvisor.parts.resolver.forwarder import forwarder
from pyinfra_gvisor.parts.resolver.forwarder.exchange import framed
from pyinfra_gvisor.parts.resolver.forwarder.forwarder import plain
from tests.unit.resolver_fakes import answer, query, run
from tests.unit.resolver_running import LOOPBACK, Fake, docker, running, told

BOTH = pytest.mark.parametrize(
    "stream", [pytest.param(False, id="udp"), pytest.param(True, id="tcp")]
)


@BOTH
def test_what_is_no_query_is_counted_and_not_answered(stream: bool) -> None:
    fake = Fake(docker)

    async def whole() -> tuple[object, dict[str, int]]:
        async with running(fake) as made:
            if stream:
                return await made.over_tcp(answer(query()), query()), made.outcomes
            for message in (b"", b"\0", answer(query()), query()[:-1]):
                made.send(message)
            return await made.heard(0.5), made.outcomes

    said, outcomes = run(whole())

    assert not said
    assert outcomes == {"malformed": 1 if stream else 4}


def test_more_than_the_rate_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "BURST", 3.0)
    monkeypatch.setattr(forwarder, "PER_S", 0.001)

    said, outcomes = told(Fake(docker), *[query()] * 5, stream=True)

    assert said == [docker(query())] * 3
    assert outcomes == {"docker": 3, "rate": 1}


@pytest.mark.parametrize("limit", ["MOST_TASKS", "MOST_OF_ONE"])
def test_more_than_may_wait_is_not_answered(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, limit, 2)

    async def whole() -> tuple[int, dict[str, int]]:
        async with running(Fake(lambda _: 0.5)) as made:
            for number in range(5):
                made.send(query(number=number))
            said = [await made.heard(1.5) for _ in range(3)]
            made.send(query())
            await made.heard()
            return len([item for item in said if item]), made.outcomes

    assert run(whole()) == (2, {"failed": 3, "busy": 3})


def test_who_has_an_answer_may_ask_at_once_for_more() -> None:
    waiting: list[int] = []

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        async with running(Fake(docker)) as made:

            class Answering(socket.socket):
                def sendto(self, *arguments: Any) -> int:
                    loop.call_soon(lambda: waiting.append(made.forwarder.waiting))
                    return super().sendto(*arguments)

            with Answering(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.bind(("127.0.0.1", 0))
                made.forwarder.listen(datagrams)
                made.asker.connect(datagrams.getsockname())
                made.send(query())
                assert await made.heard() == docker(query())
                loop.remove_reader(datagrams.fileno())

    run(whole())
    assert waiting == [0]


def test_one_source_has_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "MOST_CONNECTIONS_OF_ONE", 1)

    async def whole() -> tuple[list[bytes], list[bytes], dict[str, int]]:
        async with running(Fake(docker)) as made:
            _, writer = await asyncio.open_connection("127.0.0.1", made.tcp_port)
            await asyncio.sleep(0.1)
            second = await made.over_tcp(query())
            writer.close()
            await asyncio.sleep(0.1)
            return second, await made.over_tcp(query()), made.outcomes

    assert run(whole()) == ([], [docker(query())], {"busy": 1, "docker": 1})


@pytest.mark.parametrize("sent", [b"", b"\0", framed(query())[:-1]])
def test_a_connection_that_says_too_little_is_ended(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "IDLE_S", 0.3)

    async def whole() -> bytes:
        async with running(Fake(docker)) as made:
            reader, writer = await asyncio.open_connection("127.0.0.1", made.tcp_port)
            writer.write(sent)
            said = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return said

    assert run(whole()) == b""


def test_a_connection_that_is_gone_at_once_is_no_error() -> None:
    class Closed:
        closed = False

        def get_extra_info(self, _: str) -> None:
            return None

        def close(self) -> None:
            self.closed = True

    async def whole() -> bool:
        async with running(Fake(docker)) as made:
            writer = Closed()
            await made.forwarder.serve(asyncio.StreamReader(), cast("Any", writer))
            return writer.closed and made.outcomes == {}

    assert run(whole())


def test_an_error_that_nobody_thought_of_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    fake = Fake(lambda _: ValueError("odd"))

    async def whole() -> bytes | None:
        async with running(fake) as made:
            made.send(query())
            nothing = await made.heard(0.5)
            fake.docker = docker
            made.send(query())
            assert await made.heard() == docker(query())
            return nothing

    assert run(whole()) is None
    assert capsys.readouterr().err == "127.0.0.1: ValueError('odd')\n"


@given(st.lists(st.binary(max_size=60), max_size=20))
@settings(max_examples=12)
def test_no_datagram_ends_it(datagrams: list[bytes]) -> None:
    async def whole() -> bytes | None:
        async with running(Fake(docker)) as made:
            for datagram in datagrams:
                made.send(datagram)
                made.send(query()[:4] + datagram)
            made.send(query("end", 0xBEEF))
            while (said := await made.heard()) is not None:
                if said == docker(query("end", 0xBEEF)):
                    return said
            return None

    assert run(whole()) is not None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("172.18.0.2", "172.18.0.2", id="IPv4"),
        pytest.param("::ffff:172.18.0.2", "172.18.0.2", id="IPv4 in IPv6"),
        pytest.param("FD00:0:0::2", "fd00::2", id="IPv6"),
        pytest.param("fe80::1%eth0", "fe80::1", id="with a zone"),
    ],
)
def test_an_address_is_written_as_docker_does(address: str, expected: str) -> None:
    assert plain(address) == expected


def test_over_ipv6_the_source_and_its_interface_are_seen_too() -> None:
    fake = Fake(docker)

    async def whole() -> bytes:
        async with running(fake) as made:
            datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            datagrams.bind(("::1", 0))
            made.forwarder.listen(datagrams)
            asker = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(asker, datagrams.getsockname()[:2])
            asker.send(query())
            said = await asyncio.wait_for(loop.sock_recv(asker, 4096), 10)
            loop.remove_reader(datagrams.fileno())
            datagrams.close()
            asker.close()
            return said

    assert run(whole()) == docker(query())
    assert fake.asked == [("::1", LOOPBACK)]
