"""From a container's query to its answer: Docker, and the resolvers outside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import backoff
from pyinfra_gvisor.parts.resolver.forwarder.engine import EngineError
from pyinfra_gvisor.parts.resolver.forwarder.exchange import Busy
from pyinfra_gvisor.parts.resolver.forwarder.messages import REFUSED, SERVFAIL, failure
from pyinfra_gvisor.parts.resolver.forwarder.namespaces import Gone
from pyinfra_gvisor.parts.resolver.forwarder.sessions import UnknownSource
from tests.unit.resolver_fakes import answer, query, run
from tests.unit.resolver_running import (
    LOOPBACK,
    Fake,
    Says,
    docker,
    outside,
    running,
    told,
)

BOTH = pytest.mark.parametrize(
    "stream", [pytest.param(False, id="udp"), pytest.param(True, id="tcp")]
)


@BOTH
def test_docker_answers_and_nobody_else_is_asked(stream: bool) -> None:
    fake = Fake(docker, outside)

    assert told(fake, query("a"), query("b", 9), stream=stream) == (
        [docker(query("a")), docker(query("b", 9))],
        {"docker": 2},
    )
    assert fake.outside == []
    assert set(fake.asked) == {("127.0.0.1", None if stream else LOOPBACK)}


@BOTH
@pytest.mark.parametrize(
    "says",
    [
        pytest.param(lambda message: answer(message, SERVFAIL), id="fails"),
        pytest.param(lambda message: answer(message, REFUSED), id="refuses"),
        pytest.param(lambda _: 4.0, id="silent"),
        pytest.param(lambda _: 0.9, id="silent, then wrong"),
    ],
)
def test_what_docker_does_not_say_is_asked_outside(says: Says, stream: bool) -> None:
    slow = Fake(says, outside)

    assert told(slow, query(), stream=stream) == ([outside(query())], {"upstream": 1})
    assert slow.outside == [("192.0.2.1",)]


@BOTH
def test_that_docker_knows_of_no_such_name_is_an_answer(stream: bool) -> None:
    fake = Fake(lambda message: answer(message, 3), outside)

    assert told(fake, query(), stream=stream) == ([answer(query(), 3)], {"docker": 1})


@BOTH
def test_on_internal_networks_nobody_outside_is_asked(stream: bool) -> None:
    fake = Fake(lambda message: answer(message, SERVFAIL), outside)
    fake.leads_out = False

    said = told(fake, query(), stream=stream)

    assert said == ([answer(query(), SERVFAIL)], {"docker": 1})
    assert fake.outside == []


@BOTH
def test_if_both_fail_who_asks_is_told_with_the_question(
    stream: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake(lambda _: 0.4)

    said = told(fake, query("secret-name"), stream=stream)

    assert said == ([failure(query("secret-name"), SERVFAIL)], {"failed": 1})
    error = capsys.readouterr().err
    assert error == "127.0.0.1 of container cccccccccccc: TimeoutError('silent')\n"


def test_an_answer_of_dockers_that_comes_late_is_taken_if_outside_fails() -> None:
    fake = Fake(docker)
    fake.docker_late_s = 0.9

    assert told(fake, query()) == ([docker(query())], {"docker": 1})
    assert fake.outside == [("192.0.2.1",)]


def unknown(message: bytes) -> bytes:
    """Nobody outside has that name."""
    return answer(message, 3)


@pytest.mark.parametrize(
    ("first", "is_settling"),
    [
        pytest.param(lambda _: 4.0, False, id="lost on its way"),
        pytest.param(lambda message: answer(message, SERVFAIL), True, id="behind a restart"),
    ],
)
def test_a_name_that_is_not_known_outside_is_asked_of_docker_again(
    first: Says, is_settling: bool
) -> None:
    says = iter((first, *[docker] * 9))

    def in_turn(message: bytes) -> Any:
        return next(says)(message)

    fake = Fake(in_turn, unknown)
    fake.is_settling = is_settling

    assert told(fake, query()) == ([docker(query())], {"docker": 1})


def test_a_query_to_docker_may_be_lost_more_than_once() -> None:
    says: Iterator[Says] = iter((lambda _: 4.0, lambda _: 4.0, docker))

    def in_turn(message: bytes) -> Any:
        return next(says)(message)

    assert told(Fake(in_turn, unknown), query()) == ([docker(query())], {"docker": 1})


def test_an_answer_of_dockers_that_comes_while_others_are_asked_is_taken() -> None:
    fake = Fake(docker, unknown)
    fake.docker_late_s, fake.outside_late_s = 0.9, 1.5

    assert told(fake, query()) == ([docker(query())], {"docker": 1})
    assert fake.outside == [("192.0.2.1",)]


def test_a_docker_that_says_nothing_at_all_may_know_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backoff, "KIND_S", 0.5)
    monkeypatch.setattr(backoff, "SLOW_S", 0.2)
    fake = Fake(lambda _: 4.0, unknown)
    fake.slow, fake.docker_late_s = True, 1.0

    assert told(fake, query()) == ([failure(query(), SERVFAIL)], {"failed": 1})
    assert fake.is_outspoken is None


def test_a_docker_that_is_silent_as_it_always_was_does_not_know_the_name() -> None:
    said = told(Fake(lambda _: 4.0, unknown), query())

    assert said == ([unknown(query())], {"upstream": 1})


def test_a_docker_that_is_silent_and_was_not_before_may_know_the_name() -> None:
    def says(message: bytes) -> Any:
        return 4.0 if b"db" in message else answer(message, SERVFAIL)

    said = told(Fake(says, unknown), query("shop"), query("db", 9))

    expected = [unknown(query("shop")), failure(query("db", 9), SERVFAIL)]
    assert said == (expected, {"upstream": 1, "failed": 1})


def test_what_docker_fails_at_and_nobody_outside_knows_is_unknown_at_once() -> None:
    asked: list[bytes] = []

    def fails(message: bytes) -> bytes:
        asked.append(message)
        return answer(message, SERVFAIL)

    assert told(Fake(fails, unknown), query()) == ([unknown(query())], {"upstream": 1})
    assert len(asked) == 1


def test_a_docker_that_is_slow_is_waited_for_and_nobody_outside_hears_of_it() -> None:
    fake = Fake(docker, lambda message: answer(message, 3))
    fake.slow, fake.docker_late_s = True, 1.0

    assert told(fake, query()) == ([docker(query())], {"docker": 1})
    assert fake.outside == []


def test_those_who_wait_for_a_slow_docker_hear_of_it_together() -> None:
    fake = Fake(docker, lambda message: answer(message, 3))
    fake.slow, fake.docker_late_s = True, 1.0

    async def ask() -> tuple[set[bytes | None], int]:
        async with running(fake) as made:
            for number in range(20):
                made.send(query(number=number))
            await asyncio.sleep(0.7)  # they have begun to listen
            for number in range(20, 40):
                made.send(query(number=number))
            return {await made.heard() for _ in range(40)}, fake.own

    said, own = run(ask())

    assert said == {docker(query(number=number)) for number in range(40)}
    assert 1 <= own <= 3
    assert fake.outside == []


@pytest.mark.parametrize(
    ("says", "expected", "outcome"),
    [
        pytest.param(outside, outside(query()), "upstream", id="an address"),
        pytest.param(
            lambda message: answer(message, 3), docker(query()), "docker", id="no such name"
        ),
    ],
)
def test_while_docker_restarts_only_it_says_what_is_not_there(
    says: Says, expected: bytes, outcome: str
) -> None:
    fake = Fake(docker, says)
    fake.is_refused, fake.docker_late_s = True, 0.9

    assert told(fake, query()) == ([expected], {outcome: 1})


@BOTH
@pytest.mark.parametrize("busy", [Busy(), OSError("no"), ConnectionResetError("no")])
def test_what_goes_wrong_here_is_not_asked_outside(busy: Exception, stream: bool) -> None:
    fake = Fake(lambda _: busy, outside)

    said, outcomes = told(fake, query(), stream=stream)

    assert said == [failure(query(), SERVFAIL)]
    assert outcomes == ({"busy": 1} if isinstance(busy, Busy) else {"failed": 1})
    assert fake.outside == []


def test_a_container_that_came_to_another_network_is_looked_for_again() -> None:
    says = iter((Gone("left"), docker(query())))
    fake = Fake(lambda _: next(says))

    assert told(fake, query()) == ([docker(query())], {"docker": 1})
    assert len(fake.asked) == 2


@BOTH
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(UnknownSource("127.0.0.1"), "stranger", id="a stranger"),
        pytest.param(EngineError("no Docker"), "failed", id="nobody knows"),
    ],
)
def test_who_is_not_known_hears_nothing(error: Exception, outcome: str, stream: bool) -> None:
    fake = Fake(docker, outside)
    fake.of_error = error

    async def whole() -> tuple[object, dict[str, int]]:
        async with running(fake) as made:
            if stream:
                return await made.over_tcp(query()), made.outcomes
            made.send(query())
            return await made.heard(0.5), made.outcomes

    said, outcomes = run(whole())

    assert not said
    assert outcomes == {outcome: 1}
