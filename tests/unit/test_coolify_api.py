"""Coolify's API as it is asked: who is told the token, what is an answer, what an error says."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.token import Token
from pyinfra_gvisor.coolify.transport import NoAnswer, Refused, Rejected, UnknownOutcome
from pyinfra_gvisor.settings import load_settings
from tests.coolify.api_client import Clock, client, serving
from tests.coolify.api_server import TOKEN, ApiServer, Kind
from tests.coolify.api_state import SECRET


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


def test_what_coolify_says_is_understood(server: ApiServer, api: Api) -> None:
    run = server.state.add_server("run-1", is_swarm_worker=True)
    shop = server.state.add_app("shop", run, "--init", custom_internal_name="shop")
    server.state.add_database("pg", run, "--cap-drop=ALL")

    (found,) = api.servers()
    app = api.application(shop)

    assert (found.name, found.ip, found.user, found.port) == ("run-1", "192.0.2.10", "root", 22)
    assert found.is_swarm
    assert not found.is_build_server
    assert [(each.id, each.type) for each in api.resources(run)] == [
        (1, "application"),
        (2, "standalone-postgresql"),
    ]
    assert app
    assert app.settings
    assert app.settings.custom_internal_name == "shop"
    assert [(each.name, each.settings) for each in api.applications()] == [("shop", None)]
    assert [each.custom_docker_run_options for each in api.databases()] == ["--cap-drop=ALL"]
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
    assert app
    assert app.settings
    assert app.settings.is_consistent_container_name_enabled
    assert (app.status, app.custom_docker_run_options) == ("", "")
    assert [each.id for each in api.resources(run)] == [12]


def test_a_list_that_php_made_an_object_of_is_a_list(server: ApiServer, api: Api) -> None:
    run = server.state.add_server("run-1")
    server.state.resources_of = lambda _: {"3": {"uuid": "a"}}  # type: ignore[method-assign, assignment, return-value]

    assert [each.uuid for each in api.resources(run)] == ["a"]


def test_no_secret_of_an_app_or_database_is_kept(server: ApiServer, api: Api) -> None:
    run = server.state.add_server("run-1")
    shop = server.state.add_app("shop", run)
    server.state.add_database("pg", run)

    kept = [api.application(shop), *api.applications(), *api.databases()]

    assert len(kept) == 3
    assert SECRET not in repr(kept)


def test_an_app_is_told_only_its_options(server: ApiServer, api: Api) -> None:
    shop = server.state.add_app("shop", server.state.add_server("run-1"))

    api.set_options(shop, "--init")

    assert server.state.options(shop) == "--init"
    assert server.seen[-1].asked == f"PATCH /applications/{shop}"
    assert server.seen[-1].body == '{"custom_docker_run_options": "--init"}'
    assert server.seen[-1].headers["Content-Type"] == "application/json"


def test_what_is_not_there_is_none(api: Api) -> None:
    assert api.application("none") is None
    assert api.deployment("none") is None


@pytest.mark.parametrize("uuid", ["", "a/b", "../servers", "a?b", "a b", "ä"])
def test_what_is_no_uuid_gets_into_no_path(server: ApiServer, api: Api, uuid: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: api.application(uuid),
        lambda: api.resources(uuid),
        lambda: api.deployment(uuid),
        lambda: api.restart(uuid),
        lambda: api.set_options(uuid, "--init"),
    ]

    for call in calls:
        with pytest.raises(Problem, match="not a uuid of Coolify"):
            call()

    assert server.seen == []


@pytest.mark.parametrize(
    ("url", "base"),
    [
        pytest.param("https://c.example.com", "https://c.example.com/api/v1", id="plain"),
        pytest.param("https://192.0.2.1:8000/", "https://192.0.2.1:8000/api/v1", id="port"),
        pytest.param("http://127.0.0.1:8000/", "http://127.0.0.1:8000/api/v1", id="here"),
        pytest.param("http://[::1]:8000", "http://[::1]:8000/api/v1", id="here-by-ipv6"),
        pytest.param("http://localhost:8000", "http://localhost:8000/api/v1", id="here-by-name"),
        pytest.param("https://c.example.com/api/v1/", "https://c.example.com/api/v1", id="whole"),
        pytest.param("https://c.example.com/api", "https://c.example.com/api/v1", id="part"),
        pytest.param("https://h/coolify/", "https://h/coolify/api/v1", id="folder"),
        pytest.param("https://[2001:db8::1]:8000", "https://[2001:db8::1]:8000/api/v1", id="ipv6"),
    ],
)
def test_the_api_is_found_below_coolifys_address(url: str, base: str) -> None:
    assert Api(url, Token(TOKEN)).url == base


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://c.example.com", id="ftp"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("c.example.com", id="no-scheme"),
        pytest.param("https://user:hunter2@c.example.com", id="password"),
        pytest.param("https://c.example.com?token=hunter2", id="query"),
        pytest.param("https://c.example.com#a", id="fragment"),
        pytest.param("https://c.example.com:port", id="port"),
        pytest.param("https://c.example.com/a b", id="blank"),
        pytest.param("https://c.example.com\r\nX: y", id="line"),
        pytest.param("https://", id="no-host"),
        pytest.param("https://c.exämple.com", id="not-ascii"),
    ],
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(Problem, match="not the URL of a Coolify") as refused:
        Api(url, Token(TOKEN))

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://192.0.2.1:8000", id="address"),
        pytest.param("http://10.0.0.5:8000", id="private-address"),
        pytest.param("http://coolify.example.com", id="name"),
        pytest.param("http://localhost.example.com", id="name-that-begins-so"),
        pytest.param("http://0.0.0.0:8000", id="any-address"),
    ],
)
def test_the_token_is_not_sent_over_the_network_in_clear(url: str) -> None:
    what = "the API token would be sent over the network in clear text"
    said = rf"{what}, got http.*; write https://, or open ssh"
    with pytest.raises(Problem, match=said):
        Api(url, Token(TOKEN))

    _, problems = load_settings({"gvisor_coolify_url": url})

    assert re.match(said, problems["gvisor_coolify_url"])


@pytest.mark.parametrize("url", ["ftp://c.example.com", "https://user:hunter2@c.example.com"])
def test_settings_refuse_what_is_no_plain_address(url: str) -> None:
    _, problems = load_settings({"gvisor_coolify_url": url})

    assert problems["gvisor_coolify_url"].startswith("not the URL of a Coolify instance, got")
    assert "hunter2" not in str(problems)


def test_the_token_goes_to_coolify_and_not_after_a_redirect(
    coolify: tuple[ApiServer, Clock],
) -> None:
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


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        pytest.param(
            (403, "API is disabled."), "got API is disabled.; in Coolify, enable the API", id="off"
        ),
        pytest.param((403, "Missing required permissions: write"), "got Missing", id="ability"),
        pytest.param((400, "Invalid token."), "Coolify refuses the token", id="without-a-team"),
    ],
)
def test_a_refusal_says_what_coolify_says(
    server: ApiServer, api: Api, refusal: tuple[int, str], said: str
) -> None:
    server.refusal = refusal

    with pytest.raises(Refused) as refused:
        api.servers()

    assert said in str(refused.value)
    assert refused.value.status == refusal[0]
    assert len(server.seen) == 1


def test_a_wrong_token_is_refused_once_and_shown_nowhere(server: ApiServer, clock: Clock) -> None:
    wrong = "99|wrong-but-secret"
    api = client(server, clock, token=wrong)

    with pytest.raises(Refused, match="Coolify refuses the token, got Unauthenticated") as refused:
        api.servers()

    assert len(server.seen) == 1
    assert wrong not in all_of(refused.value)
    assert wrong not in f"{refused.value!r} {api!r} {vars(api)} {vars(refused.value)}"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(f"No token {TOKEN} here", id="message"),
        pytest.param(f"{'x' * 190}{TOKEN}", id="cut"),
    ],
)
def test_a_server_that_says_the_token_is_not_repeated(
    server: ApiServer, api: Api, message: str
) -> None:
    server.refusal = (418, message)

    with pytest.raises(Rejected) as rejected:
        api.servers()

    assert TOKEN[:8] not in str(rejected.value)


@pytest.mark.parametrize("kind", ["500", "cut", "html"])
def test_no_exception_has_the_token_in_it(server: ApiServer, api: Api, kind: Kind) -> None:
    server.arm("GET *", kind, times=3)

    with pytest.raises(NoAnswer) as failed:
        api.servers()

    assert TOKEN not in all_of(failed.value)


def test_no_exception_has_it_where_nobody_listens(clock: Clock) -> None:
    with serving() as (server, _):
        nobody = client(server, clock)

    with pytest.raises(NoAnswer, match="Connection refused") as unread:
        nobody.servers()
    with pytest.raises(UnknownOutcome, match="Connection refused") as unwritten:
        nobody.set_options("a", "--init")

    assert TOKEN not in all_of(unread.value)
    assert TOKEN not in all_of(unwritten.value)


def test_a_rejected_write_says_which_field_and_why(server: ApiServer, api: Api) -> None:
    shop = server.state.add_app("shop", server.state.add_server("run-1"), "--init")

    with pytest.raises(Rejected) as rejected:
        api.set_options(shop, "--env=$HOME")

    assert "Validation failed. custom_docker_run_options: The custom docker" in str(rejected.value)
    assert server.state.options(shop) == "--init"
    assert len(server.patches) == 1


def test_an_answer_of_another_shape_is_no_answer_and_does_not_show_its_content(
    server: ApiServer, api: Api
) -> None:
    server.state.servers["x"] = {"name": SECRET}

    with pytest.raises(NoAnswer, match="is not understood, got uuid: Field required") as no:
        api.servers()

    assert SECRET not in str(no.value)
