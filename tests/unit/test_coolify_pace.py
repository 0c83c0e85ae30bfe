"""Coolify's API as it is borne with: its rate limit, time-outs, answers cut short, and writes."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler
from threading import Event, Thread

import pytest

from pyinfra_gvisor.coolify import transport
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.pace import Pace
from pyinfra_gvisor.coolify.token import Token
from pyinfra_gvisor.coolify.transport import NoAnswer, NotFound, UnknownOutcome
from tests.coolify.api_client import Clock, client, serving
from tests.coolify.api_server import TOKEN, ApiServer, Kind, RateLimit
from tests.unit.waiting import until


@pytest.fixture
def coolify() -> Iterator[tuple[ApiServer, Clock]]:
    with serving() as found:
        found[0].state.add_app("shop", found[0].state.add_server("run-1"), "--init")
        yield found


@pytest.fixture
def server(coolify: tuple[ApiServer, Clock]) -> ApiServer:
    return coolify[0]


@pytest.fixture
def clock(coolify: tuple[ApiServer, Clock]) -> Clock:
    return coolify[1]


def shop_of(server: ApiServer) -> str:
    """The one app's uuid."""
    return next(iter(server.state.applications))


@pytest.mark.parametrize("kind", ["500", "cut", "html", "stall", "404-html"])
def test_what_is_only_read_is_asked_for_again(server: ApiServer, clock: Clock, kind: Kind) -> None:
    server.arm("GET /servers", kind, times=2)

    found = client(server, clock, timeout_s=0.1).servers()

    assert [each.name for each in found] == ["run-1"]
    assert len(server.seen) == 3
    assert clock.slept == [1, 2]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        pytest.param("500", "got status 500", id="500"),
        pytest.param("cut", "too early", id="cut"),
        pytest.param("html", "got 24 bytes that are not JSON", id="html"),
        pytest.param("stall", "got timed out", id="stall"),
        pytest.param("404-html", "got status 404", id="not-of-coolify"),
    ],
)
def test_it_is_asked_for_three_times_and_no_more(
    server: ApiServer, clock: Clock, kind: Kind, why: str
) -> None:
    server.arm("GET /servers", kind, times=9)

    with pytest.raises(NoAnswer, match=why):
        client(server, clock, timeout_s=0.1).servers()

    assert len(server.seen) == 3
    assert clock.slept == [1, 2]


@pytest.mark.parametrize("kind", ["500", "cut", "html", "stall", "late", "late-stall", "404-html"])
def test_a_write_is_sent_once_whatever_comes_of_it(
    server: ApiServer, clock: Clock, kind: Kind
) -> None:
    shop = shop_of(server)
    server.arm("P* /applications/*", kind, times=9)
    api = client(server, clock, timeout_s=0.1)

    with pytest.raises(UnknownOutcome, match=f"answer to PATCH /applications/{shop} is not clear"):
        api.set_options(shop, "--cap-drop=ALL")
    with pytest.raises(UnknownOutcome, match=f"to POST /applications/{shop}/restart"):
        api.restart(shop)

    expected = "--cap-drop=ALL" if kind.startswith("late") else "--init"
    # Who asked has given up after a tenth of a second, in which the server may not have begun.
    until(lambda: len(server.seen) >= 2 and server.state.options(shop) == expected)
    assert len(server.seen) == 2


def test_a_write_to_what_is_gone_is_told(server: ApiServer, clock: Clock) -> None:
    with pytest.raises(NotFound, match="Coolify does not know /applications/none"):
        client(server, clock).set_options("none", "--init")


@pytest.mark.parametrize("is_told", [True, False], ids=["told-what-is-left", "not-told"])
def test_the_rate_limit_is_kept(server: ApiServer, clock: Clock, is_told: bool) -> None:
    server.limit = RateLimit(10, is_told=is_told)
    api, began = client(server, clock), clock.now

    for _ in range(25):
        api.servers()

    assert len(server.seen) - server.refused == 25
    assert server.refused == (0 if is_told else 2)
    assert 120 <= clock.now - began <= 130


def test_a_write_that_came_too_soon_is_sent_again(server: ApiServer, clock: Clock) -> None:
    server.limit = RateLimit(1, is_told=False)
    api, shop = client(server, clock), shop_of(server)
    api.servers()

    api.set_options(shop, "--cap-drop=ALL")

    assert server.state.options(shop) == "--cap-drop=ALL"
    assert server.patches == {shop: 2}
    assert server.refused == 1


def test_it_is_given_up_after_five_waits(server: ApiServer, clock: Clock) -> None:
    server.limit = RateLimit(0)

    with pytest.raises(NoAnswer, match=r"rate limit is exceeded.* status 429 to GET /servers"):
        client(server, clock).servers()

    assert len(server.seen) == 6
    assert len(clock.slept) == 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"Retry-After": "7"}, 7, id="seconds"),
        pytest.param({"Retry-After": "0"}, 1, id="none"),
        pytest.param({"Retry-After": "86400"}, 120, id="a-day"),
        pytest.param({}, 15, id="not-told"),
        pytest.param({"Retry-After": "soon"}, 15, id="no-number"),
        pytest.param({"Retry-After": "-5"}, 15, id="negative"),
        pytest.param({"Retry-After": "1" * 400}, 15, id="too-many-digits"),
        pytest.param(
            {
                "Retry-After": "Wed, 26 Aug 2026 12:00:30 GMT",
                "Date": "Wed, 26 Aug 2026 12:00:00 GMT",
            },
            30,
            id="date",
        ),
        pytest.param(
            {
                "Retry-After": "Wed, 26 Aug 2026 11:00:00 GMT",
                "Date": "Wed, 26 Aug 2026 12:00:00 GMT",
            },
            1,
            id="past-date",
        ),
        pytest.param(
            {"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"}, 120, id="no-date-of-its-own"
        ),
    ],
)
def test_a_wait_is_as_long_as_is_asked_for_within_reason(
    headers: dict[str, str], seconds: float
) -> None:
    clock, said = Clock(), Message()
    for name, value in headers.items():
        said[name] = value

    Pace(clock.sleep, clock.time).give_way(said)

    assert clock.slept == [seconds]


def test_a_minute_that_others_have_used_up_is_waited_out(server: ApiServer, clock: Clock) -> None:
    server.limit = RateLimit(5)
    api = client(server, clock)
    api.servers()
    server.limit.used = 4

    api.servers()
    api.servers()

    assert server.refused == 0
    assert clock.slept == [61]


def test_an_answer_that_never_ends_is_given_up(
    server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CHUNK_BYTES", 1)
    api = client(server, clock, timeout_s=5)
    ticks = iter(range(0, 100000, 3))
    monkeypatch.setattr(clock, "time", lambda: next(ticks))
    api = client(server, clock, timeout_s=5)

    with pytest.raises(NoAnswer, match="the answer takes too long"):
        api.servers()


def test_an_answer_without_bounds_is_given_up(
    server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LIMIT_BYTES", 100)

    with pytest.raises(NoAnswer, match="more than 100 bytes"):
        client(server, clock).servers()


def test_requests_go_one_at_a_time(server: ApiServer, clock: Clock) -> None:
    api = client(server, clock)
    at_once: list[int] = []
    inside = 0
    answer = server.answer

    def counted(handler: BaseHTTPRequestHandler) -> None:
        nonlocal inside
        inside += 1
        at_once.append(inside)
        Event().wait(0.01)  # time for another one to come in between
        inside -= 1  # before the answer, behind which the next one may come
        answer(handler)

    server.answer = counted  # type: ignore[method-assign]
    threads = [Thread(target=api.servers) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert at_once == [1] * 8


def test_the_environments_proxy_is_used(
    server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    away = Api("https://coolify.invalid", Token(TOKEN), sleep=clock.sleep)

    # The stand-in is no proxy; what it says shows that it was asked to be one.
    with pytest.raises(NoAnswer, match="Tunnel connection failed: 501"):
        away.application("x1")


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_no_proxy_sees_a_token_that_is_meant_for_this_machine(
    server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with serving() as (proxy, _):
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)

        found = client(server, clock).servers()

        assert proxy.seen == []
    assert [each.name for each in found] == ["run-1"]
