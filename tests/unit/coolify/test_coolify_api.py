"""Coolify's API: who is told the token, what is an answer, its rate limit, time-outs and errors."""

import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify import transport
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.models import Server
from pyinfra_gvisor.coolify.pace import Pace
from pyinfra_gvisor.coolify.servers import Groups, grouped, groups
from pyinfra_gvisor.coolify.token import Token
from pyinfra_gvisor.coolify.transport import NoAnswer, NotFound, Refused, Rejected, UnknownOutcome
from pyinfra_gvisor.settings import load_settings
from tests.coolify.api_client import Clock, client, serving
from tests.coolify.api_server import TOKEN, ApiServer, Kind, RateLimit
from tests.coolify.api_state import SECRET
from tests.table import table
from tests.unit.waiting import until

NOON = "Wed, 26 Aug 2026 12:00:00 GMT"
HOST = "factory.example.com"


@pytest.fixture
def coolify() -> Iterator[tuple[ApiServer, Clock]]:
    with serving() as found:
        yield found


@pytest.fixture
def server(coolify: tuple[ApiServer, Clock]) -> ApiServer:
    return coolify[0]


@pytest.fixture
def clock(coolify: tuple[ApiServer, Clock]) -> Clock:
    return coolify[1]


@pytest.fixture
def api(coolify: tuple[ApiServer, Clock]) -> Api:
    return client(*coolify)


def all_of(error: BaseException) -> str:
    """An exception and those before it, with every local variable below the tests'."""
    shown: list[str] = []
    found: BaseException | None = error
    while found:
        told = traceback.TracebackException.from_exception(found, capture_locals=True)
        told.stack = traceback.StackSummary.from_list(
            [each for each in told.stack if "/tests/" not in each.filename]
        )
        assert told.stack
        shown += told.format(chain=False)
        found = found.__context__
    return "".join(shown)


def test_what_coolify_says_is_understood_and_no_secret_is_kept(server: ApiServer, api: Api) -> None:
    run = server.state.add_server("run-1", is_swarm_worker=True)
    shop = server.state.add_app("shop", run, "--init", custom_internal_name="shop")
    server.state.add_database("pg", run, "--cap-drop=ALL")

    (found,) = api.servers()
    app, apps, databases = api.application(shop), api.applications(), api.databases()

    assert (found.name, found.ip, found.user, found.port) == ("run-1", "192.0.2.10", "root", 22)
    assert found.is_swarm
    assert not found.is_build_server
    assert [(each.id, each.type) for each in api.resources(run)] == [
        (1, "application"),
        (2, "standalone-postgresql"),
    ]
    assert app.settings.custom_internal_name == "shop"
    assert [(each.name, each.settings) for each in apps] == [("shop", None)]
    assert [each.custom_docker_run_options for each in databases] == ["--cap-drop=ALL"]
    assert SECRET not in repr([app, *apps, *databases])
    assert api.version() == "4.3.11"


def test_odd_values_are_taken_for_what_they_mean(server: ApiServer, api: Api) -> None:
    run = server.state.add_server("run-1")
    shop = server.state.add_app("shop", run)
    server.state.servers[run] |= {"port": "2222", "name": 7, "ip": None, "settings": []}
    server.state.settings[shop] = {"is_consistent_container_name_enabled": 1}
    server.state.applications[shop] |= {"status": None, "custom_docker_run_options": ""}
    server.state.resources[shop] |= {"id": "12", "status": None, "more": {"a": 1}}

    (found,) = api.servers()
    app = api.application(shop)

    assert (found.port, found.name, found.ip, found.is_swarm) == (2222, "7", "", False)
    assert app.settings.is_consistent_container_name_enabled
    assert (app.status, app.custom_docker_run_options) == ("", "")
    assert [each.id for each in api.resources(run)] == [12]
    server.state.resources_of = lambda _: {"3": {"uuid": "a"}}  # type: ignore[method-assign, assignment, return-value]
    assert [each.uuid for each in api.resources(run)] == ["a"]  # what PHP made an object of


def test_an_app_is_told_only_its_options_and_what_is_not_there_is_none(
    server: ApiServer, api: Api
) -> None:
    shop = server.state.add_app("shop", server.state.add_server("run-1"))

    api.set_options(shop, "--init")

    assert server.state.options(shop) == "--init"
    assert server.seen[-1].asked == f"PATCH /applications/{shop}"
    assert server.seen[-1].body == '{"custom_docker_run_options": "--init"}'
    assert server.seen[-1].headers["Content-Type"] == "application/json"
    assert (api.application("none"), api.deployment("none")) == (None, None)
    with pytest.raises(NotFound, match="Coolify does not know /applications/none"):
        api.set_options("none", "--init")


@pytest.mark.parametrize("uuid", ["", "a/b", "../servers", "a?b", "a b", "ä"])
def test_what_is_no_uuid_gets_into_no_path(server: ApiServer, api: Api, uuid: str) -> None:
    calls = (api.application, api.resources, api.deployment, api.restart)

    for call in (*calls, lambda each: api.set_options(each, "--init")):
        with pytest.raises(Problem, match="not a uuid of Coolify"):
            call(uuid)

    assert server.seen == []


@table(
    "url, base",
    plain=("https://c.example.com", "https://c.example.com/api/v1"),
    port=("https://192.0.2.1:8000/", "https://192.0.2.1:8000/api/v1"),
    here=("http://127.0.0.1:8000/", "http://127.0.0.1:8000/api/v1"),
    here_by_ipv6=("http://[::1]:8000", "http://[::1]:8000/api/v1"),
    here_by_name=("http://localhost:8000", "http://localhost:8000/api/v1"),
    whole=("https://c.example.com/api/v1/", "https://c.example.com/api/v1"),
    part=("https://c.example.com/api", "https://c.example.com/api/v1"),
    folder=("https://h/coolify/", "https://h/coolify/api/v1"),
    ipv6=("https://[2001:db8::1]:8000", "https://[2001:db8::1]:8000/api/v1"),
)
def test_the_api_is_found_below_coolifys_address(url: str, base: str) -> None:
    assert Api(url, Token(TOKEN)).url == base


PLAIN = "not the URL of a Coolify instance, got "
CLEAR = "the API token would be sent over the network in clear text, got http"
REFUSED = {
    PLAIN: [
        *("ftp://c.example.com", "file:///etc/passwd", "c.example.com", "https://"),
        *("https://user:hunter2@c.example.com", "https://c.example.com?token=hunter2"),
        *("https://c.example.com#a", "https://c.example.com:port", "https://c.example.com/a b"),
        *("https://c.example.com\r\nX: y", "https://c.exämple.com"),
    ],
    CLEAR: [
        *("http://192.0.2.1:8000", "http://10.0.0.5:8000", "http://coolify.example.com"),
        *("http://localhost.example.com", "http://0.0.0.0:8000"),
    ],
}


@table("url, said", {ascii(url): (url, said) for said, urls in REFUSED.items() for url in urls})
def test_an_address_that_is_not_plain_or_sends_the_token_in_clear_is_refused(
    url: str, said: str
) -> None:
    with pytest.raises(Problem, match=said) as refused:
        Api(url, Token(TOKEN))

    _, problems = load_settings({"gvisor_coolify_url": url})

    assert problems["gvisor_coolify_url"].startswith(said)
    assert "hunter2" not in f"{refused.value} {problems}"
    assert ("; write https://, or open ssh" in str(refused.value)) == (said == CLEAR)


def test_the_token_goes_to_coolify_and_no_redirect(coolify: tuple[ApiServer, Clock]) -> None:
    server, clock = coolify
    with serving() as (other, _):
        server.redirects_to = f"http://somebody:secret@{other.url[7:]}/api/v1/servers?token=x"
        server.arm("GET /servers", "redirect")

        with pytest.raises(Refused) as refused:
            client(server, clock).servers()

        assert other.seen == []
    assert [each.headers["Authorization"] for each in server.seen] == [f"Bearer {TOKEN}"]
    assert f"got {other.url[7:]}/api/v1/servers; " in str(refused.value)
    assert "secret" not in str(refused.value)


@table(
    "refusal, said",
    off=((403, "API is disabled."), "got API is disabled.; in Coolify, enable the API"),
    ability=((403, "Missing required permissions: write"), "got Missing"),
    without_a_team=((400, "Invalid token."), "Coolify refuses the token"),
)
def test_a_refusal_says_what_coolify_says(
    server: ApiServer, api: Api, refusal: tuple[int, str], said: str
) -> None:
    server.refusal = refusal

    with pytest.raises(Refused) as refused:
        api.servers()

    assert said in str(refused.value)
    assert (refused.value.status, len(server.seen)) == (refusal[0], 1)


def test_a_wrong_token_is_refused_once_and_shown_nowhere(server: ApiServer, clock: Clock) -> None:
    wrong = "99|wrong-but-secret"
    api = client(server, clock, token=wrong)

    with pytest.raises(Refused, match="Coolify refuses the token, got Unauthenticated") as refused:
        api.servers()

    assert len(server.seen) == 1
    assert wrong not in all_of(refused.value)
    assert wrong not in f"{refused.value!r} {api!r} {vars(api)} {vars(refused.value)}"


@table("message", message=f"No token {TOKEN} here", cut=f"{'x' * 190}{TOKEN}")
def test_a_server_that_says_it_is_not_repeated(server: ApiServer, api: Api, message: str) -> None:
    server.refusal = (418, message)

    with pytest.raises(Rejected) as rejected:
        api.servers()

    assert TOKEN[:8] not in str(rejected.value)


def test_no_exception_has_it_where_nobody_listens(clock: Clock) -> None:
    with serving() as (server, _):
        nobody = client(server, clock)

    with pytest.raises(NoAnswer, match="Connection refused") as unread:
        nobody.servers()
    with pytest.raises(UnknownOutcome, match="Connection refused") as unwritten:
        nobody.set_options("a", "--init")

    assert TOKEN not in all_of(unread.value)
    assert TOKEN not in all_of(unwritten.value)


def test_an_answer_of_another_shape_is_none_and_is_not_shown(server: ApiServer, api: Api) -> None:
    server.state.servers["x"] = {"name": SECRET}

    with pytest.raises(NoAnswer, match="is not understood, got uuid: Field required") as no:
        api.servers()

    assert SECRET not in str(no.value)


def shop_in(server: ApiServer) -> str:
    """An app with ``--init`` on a server ``run-1``; its uuid."""
    return server.state.add_app("shop", server.state.add_server("run-1"), "--init")


def short_if_it_stalls(kind: Kind) -> float:
    """Seconds to wait for an answer: few where none comes, else enough for a busy machine."""
    return 0.3 if kind.endswith("stall") else 5


def test_what_is_only_read_is_asked_for_again(server: ApiServer, api: Api, clock: Clock) -> None:
    server.state.add_server("run-1")
    server.arm("GET /servers", "500", times=2)

    found = api.servers()

    assert ([each.name for each in found], len(server.seen)) == (["run-1"], 3)
    assert clock.slept == [1, 2]


@table(
    "kind, why",
    status_500=("500", "got status 500"),
    cut=("cut", "too early"),
    html=("html", "got 24 bytes that are not JSON"),
    stall=("stall", "got timed out"),
    not_of_coolify=("404-html", "got status 404"),
)
def test_it_is_asked_for_three_times(server: ApiServer, clock: Clock, kind: Kind, why: str) -> None:
    server.arm("GET /servers", kind, times=9)

    with pytest.raises(NoAnswer, match=why) as failed:
        client(server, clock, timeout_s=short_if_it_stalls(kind)).servers()

    assert (len(server.seen), clock.slept) == (3, [1, 2])
    assert TOKEN not in all_of(failed.value)


@pytest.mark.parametrize("kind", ["500", "cut", "html", "stall", "late", "late-stall", "404-html"])
def test_a_write_is_sent_once_whatever_happens(server: ApiServer, clock: Clock, kind: Kind) -> None:
    shop = shop_in(server)
    server.arm("P* /applications/*", kind, times=9)
    api = client(server, clock, timeout_s=short_if_it_stalls(kind))

    with pytest.raises(UnknownOutcome, match=f"answer to PATCH /applications/{shop} is not clear"):
        api.set_options(shop, "--cap-drop=ALL")
    with pytest.raises(UnknownOutcome, match=f"to POST /applications/{shop}/restart"):
        api.restart(shop)

    expected = "--cap-drop=ALL" if kind.startswith("late") else "--init"
    # Who asked has given up after a short time, in which the server may not have begun.
    until(lambda: len(server.seen) >= 2 and server.state.options(shop) == expected)
    assert len(server.seen) == 2


@pytest.mark.parametrize("is_told", [True, False], ids=["told-what-is-left", "not-told"])
def test_the_rate_limit_is_kept(server: ApiServer, api: Api, clock: Clock, is_told: bool) -> None:
    server.limit, began = RateLimit(10, is_told=is_told), clock.now

    for _ in range(25):
        api.servers()

    assert (len(server.seen) - server.refused, server.refused) == (25, (0 if is_told else 2))
    assert 120 <= clock.now - began <= 130


def test_a_write_that_came_too_soon_is_sent_again_and_given_up_after_five_waits(
    server: ApiServer, api: Api, clock: Clock
) -> None:
    server.limit, shop = RateLimit(1, is_told=False), shop_in(server)
    api.servers()

    api.set_options(shop, "--cap-drop=ALL")

    assert (server.state.options(shop), server.patches) == ("--cap-drop=ALL", {shop: 2})
    assert server.refused == 1
    server.limit, seen, slept = RateLimit(0), len(server.seen), len(clock.slept)
    with pytest.raises(NoAnswer, match=r"rate limit is exceeded.* status 429 to GET /servers"):
        api.servers()
    assert (len(server.seen) - seen, len(clock.slept) - slept) == (6, 5)


@table(
    "after, date, seconds",
    seconds=("7", None, 7),
    none=("0", None, 1),
    a_day=("86400", None, 120),
    not_told=(None, None, 15),
    no_number=("soon", None, 15),
    negative=("-5", None, 15),
    too_many_digits=("1" * 400, None, 15),
    date=("Wed, 26 Aug 2026 12:00:30 GMT", NOON, 30),
    past_date=("Wed, 26 Aug 2026 11:00:00 GMT", NOON, 1),
    no_date_of_its_own=("Fri, 31 Dec 2999 23:59:59 GMT", None, 120),
)
def test_a_wait_is_as_long_as_is_asked_for_within_reason(
    after: str | None, date: str | None, seconds: float
) -> None:
    clock, said = Clock(), Message()
    for name, value in {"Retry-After": after, "Date": date}.items():
        if value is not None:
            said[name] = value

    Pace(clock.sleep, clock.time).give_way(said)

    assert clock.slept == [seconds]


def test_a_minute_that_others_used_is_waited_out(server: ApiServer, api: Api, clock: Clock) -> None:
    server.limit = RateLimit(5)
    api.servers()
    server.limit.used = 4

    api.servers()
    api.servers()

    assert (server.refused, clock.slept) == (0, [61])


@table(
    "limit, why",
    never_ends=({"CHUNK_BYTES": 1}, "the answer takes too long"),
    huge=({"LIMIT_BYTES": 100}, "more than 100 bytes"),
)
def test_an_answer_that_never_ends_or_is_huge_is_given_up(
    server: ApiServer, clock: Clock, monkeypatch: Any, limit: dict[str, int], why: str
) -> None:
    server.state.add_server("run-1")
    ((name, value),) = limit.items()
    monkeypatch.setattr(transport, name, value)
    ticks = iter(range(0, 100000, 3))
    monkeypatch.setattr(clock, "time", lambda: next(ticks))

    with pytest.raises(NoAnswer, match=why):
        client(server, clock).servers()


def test_requests_go_one_at_a_time(server: ApiServer, api: Api) -> None:
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
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: api.servers(), range(8)))

    assert at_once == [1] * 8


def test_a_proxy_is_used(server: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    away = Api("https://coolify.invalid", Token(TOKEN), sleep=clock.sleep)

    # The stand-in is no proxy; what it says shows that it was asked to be one.
    with pytest.raises(NoAnswer, match="Tunnel connection failed: 501"):
        away.application("x1")


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_no_proxy_sees_a_token_that_is_meant_for_this_machine(
    coolify: tuple[ApiServer, Clock], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with serving() as (proxy, _):
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)

        client(*coolify).servers()

        assert proxy.seen == []
    assert len(coolify[0].seen) == 1


def shown(name: str, ip: str, **others: Any) -> Server:
    """A server as the API shows it."""
    return Server.model_validate({"uuid": name, "name": name, "ip": ip, "user": "root", **others})


def names(found: Groups) -> tuple[list[str], ...]:
    """Who is in which group."""
    return tuple([name for name, _ in hosts] for hosts in (found.run, found.build, found.coolify))


def test_servers_are_grouped_and_ssh_goes_where_coolifys_own_goes_or_to_the_control_host() -> None:
    servers = [
        shown("localhost", "host.docker.internal"),
        shown("run-1", "192.0.2.7", user="deploy", port=2222),
        shown("builder", "192.0.2.8", settings={"is_build_server": True}),
    ]

    found = grouped(servers, control_host=HOST, key="/keys/id")

    assert names(found) == (["run-1"], ["builder"], ["localhost"])
    data = found.run[0][1]
    assert (data["ssh_hostname"], data["ssh_port"]) == ("192.0.2.7", 2222)
    assert (data["ssh_user"], data["ssh_key"]) == ("deploy", "/keys/id")
    data = found.coolify[0][1]
    assert (data["ssh_hostname"], data["ssh_port"], data["ssh_user"]) == (HOST, 22, "root")


def test_what_makes_no_inventory_is_refused_and_servers_are_asked_for_where_it_is_said(
    server: ApiServer,
) -> None:
    with pytest.raises(Problem, match="Coolify shows no server"):
        grouped([], control_host=HOST)
    with pytest.raises(Problem, match="two servers"):
        grouped([shown("a", "192.0.2.1"), shown("a", "192.0.2.2")], control_host=HOST)
    server.state.add_server("run-1", ip="192.0.2.7")

    found = groups({"COOLIFY_URL": server.url, "COOLIFY_TOKEN": TOKEN, "COOLIFY_SSH_HOST": HOST})

    assert "run-1" in names(found)[0]
    assert [item.asked for item in server.seen] == ["GET /servers"]


@table(
    "environment, said",
    no_url=({}, "COOLIFY_URL is not set"),
    unnamed=({"COOLIFY_URL": "https://c.example.com"}, "no token"),
    no_tls=({"COOLIFY_URL": "http://c.example.com"}, "in clear"),
    tunnel=({"COOLIFY_URL": "http://[::1]:8000"}, "SSH_HOST is not set"),
)
def test_an_environment_without_enough_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(Problem, match=said):
        groups(environment)
