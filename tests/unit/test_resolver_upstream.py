"""The resolvers outside: who they are, and how one after the other is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyinfra_gvisor.parts.resolver.forwarder import upstream
from pyinfra_gvisor.parts.resolver.forwarder.messages import REFUSED, SERVFAIL
from pyinfra_gvisor.parts.resolver.forwarder.upstream import Upstream, nameservers
from tests.unit.resolver_fakes import Answers, answer, failing, query, rcode, resolver, run

# On loopback a resolver each, all on the same port.
FIRST, SECOND, THIRD, FOURTH = (f"127.0.53.{number}" for number in range(1, 5))
KINDS = [pytest.param(False, id="udp"), pytest.param(True, id="tcp")]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of it."""
    monkeypatch.setattr(upstream, "EACH_S", 0.5)


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


def well(message: bytes) -> list[bytes]:
    """An answer."""
    return [answer(message)]


def silent(_: bytes) -> list[bytes]:
    """None."""
    return []


@pytest.mark.parametrize("stream", KINDS)
@pytest.mark.parametrize(
    "first",
    [
        pytest.param({}, id="nobody listens"),
        pytest.param({FIRST: silent}, id="silent"),
        pytest.param({FIRST: lambda message: [answer(message, SERVFAIL)]}, id="fails"),
        pytest.param({FIRST: lambda message: [answer(message, REFUSED)]}, id="refuses"),
    ],
)
def test_where_the_first_does_not_help_the_second_answers(
    first: dict[str, Answers], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask({**first, SECOND: well}, monkeypatch, stream=stream) == answer(query())


@pytest.mark.parametrize("stream", KINDS)
def test_that_a_name_is_not_there_is_an_answer(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ask(
        {FIRST: lambda message: [answer(message, 3)], SECOND: well}, monkeypatch, stream=stream
    )

    assert said == answer(query(), 3)


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
    def confused(message: bytes) -> list[bytes]:
        return [answer(query("other"))]

    assert ask({FIRST: confused, SECOND: well}, monkeypatch, stream=True) == answer(query())


def test_a_truncated_answer_is_passed_on_for_who_asked_to_ask_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = answer(query(), 0)[:2] + b"\x83\x80" + answer(query())[4:]

    assert ask({FIRST: lambda _: [cut]}, monkeypatch, stream=False) == cut


def test_a_large_answer_comes_whole_over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    large = answer(query()).ljust(65535, b"x")

    assert ask({FIRST: lambda _: [large]}, monkeypatch, stream=True) == large


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
