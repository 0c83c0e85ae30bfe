"""``coolify.apps`` on the real engine, with a Coolify on loopback that it asks."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.coolify.token import VARIABLE
from pyinfra_gvisor.deploys.coolify import run_control_host
from tests.cases.fleet import MARKS, Fleet, Node, Reply
from tests.coolify.api_client import serving
from tests.coolify.api_server import TOKEN, ApiServer
from tests.unit.coolify_answers import answer, patched, persistent

RECORD = "coolify-redeploys"
BOTH_WAYS = [pytest.param(True, id="interactive"), pytest.param(False, id="with-yes")]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A Coolify with two servers, whose token is in the environment."""
    monkeypatch.setenv(VARIABLE, TOKEN)
    with serving() as (server, _):
        server.state.add_server("run-1")
        server.state.add_server("other")
        yield server


def uuid_of(api: ApiServer, server: str) -> str:
    """A server's uuid."""
    return next(uuid for uuid, item in api.state.servers.items() if item["name"] == server)


def factory(*owed: str) -> Node:
    """A control host on which all is done but for the apps."""
    lines = [f"redeploy {uuid}" for uuid in owed]
    return Node([answer(*persistent(mounts=()), *patched(), *lines)])


def run(api: ApiServer, node: Node, *, prepare: bool = False, **settings: Any) -> Fleet:
    """The deploy on it."""
    given = {f"gvisor_coolify_{key}": value for key, value in settings.items()}
    data = {"gvisor_coolify_url": api.url, "gvisor_coolify_servers": ["run-*"], **given}
    fleet = Fleet({"factory": node}, prepare=prepare, groups={"coolify": data})
    fleet.deploy(run_control_host)
    return fleet


def records(node: Node) -> list[str]:
    """What was written down on the control host, one text after the other."""
    return [
        base64.b64decode(
            item.command.partition("content_b64=")[2].split()[0].split("'")[0]
        ).decode()
        for item in node.sent
        if item.kind == "record" and f"record={RECORD}" in item.command
    ]


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_apps_of_chosen_servers_are_set_once_and_others_are_left(
    api: ApiServer, prepare: bool
) -> None:
    shop = api.state.add_app("shop", uuid_of(api, "run-1"), "--cap-drop=ALL")
    there = api.state.add_app("there", uuid_of(api, "run-1"), "--runtime=runsc")
    other = api.state.add_app("other", uuid_of(api, "other"), "--init")

    fleet = run(api, factory(), prepare=prepare)
    fleet.run()
    patches = dict(api.patches)
    run(api, factory(), prepare=prepare).run()

    assert fleet.failed() == set()
    assert api.state.options(shop) == "--cap-drop=ALL --runtime=runsc"
    assert [api.state.options(uuid) for uuid in (there, other)] == ["--runtime=runsc", "--init"]
    assert patches == {shop: 1} == dict(api.patches)


def test_preparing_sets_nothing_and_says_app_by_app_what_would_be(
    api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    shop = api.state.add_app("shop", uuid_of(api, "run-1"), "--cap-drop=ALL")
    api.state.add_service("wiki", uuid_of(api, "run-1"))

    run(api, factory(), prepare=True)

    assert not api.patches
    assert api.state.options(shop) == "--cap-drop=ALL"
    assert (
        'app shop (server run-1): custom_docker_run_options "--cap-drop=ALL" -> '
        '"--cap-drop=ALL --runtime=runsc"'
    ) in caplog.text
    assert 'by hand: service wiki (server run-1): write "runtime: runsc"' in caplog.text
    assert TOKEN not in caplog.text


def test_what_is_to_be_restarted_is_written_down_first_and_crossed_out_behind_it(
    api: ApiServer,
) -> None:
    api.state.course = ("finished",)
    shop = api.state.add_app("shop", uuid_of(api, "run-1"))
    node = factory()

    run(api, node, redeploy="changed").run()

    assert api.state.restarted == [shop]
    assert records(node) == [f"{shop}\n", ""]


def test_a_restart_that_an_earlier_run_left_is_done_without_anything_to_set(api: ApiServer) -> None:
    api.state.course = ("finished",)
    shop = api.state.add_app("shop", uuid_of(api, "run-1"), "--runtime=runsc")
    node = factory(shop)

    fleet = run(api, node, redeploy="changed")
    fleet.run()

    assert api.state.restarted == [shop]
    assert not api.patches
    assert records(node)[-1] == ""


def test_a_record_that_cannot_be_written_sets_no_app(
    api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.state.add_app("shop", uuid_of(api, "run-1"))
    node = factory()
    node.replies = {"record": Reply(stderr=["no space left"], ok=False)}

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        run(api, node, redeploy="changed").run()

    assert "record" in MARKS
    assert not api.patches
    assert "cannot be written, got no space left" in caplog.text


@pytest.mark.parametrize(
    ("settings", "token", "said"),
    [
        pytest.param({"url": "http://127.0.0.1:9"}, TOKEN, "does not answer", id="no-answer"),
        pytest.param(
            {"servers": ["nobody"]}, TOKEN, "matches no server, got nobody", id="no-server"
        ),
        pytest.param({}, "17|another", "Coolify refuses the token", id="another-token"),
        pytest.param({"token_file": "/nonexistent"}, "", "cannot be read", id="no-token-file"),
        pytest.param({}, "", "no token for Coolify's API", id="no-token"),
    ],
)
def test_a_coolify_that_cannot_be_asked_fails_the_host_with_the_reason(
    api: ApiServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    settings: dict[str, Any],
    token: str,
    said: str,
) -> None:
    monkeypatch.setenv(VARIABLE, token)

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        run(api, factory(), **settings).run()

    assert "coolify.apps: http" in caplog.text
    assert said in caplog.text


def test_an_app_that_coolify_refuses_fails_the_host_and_others_are_set(api: ApiServer) -> None:
    shop, blog = (api.state.add_app(name, uuid_of(api, "run-1")) for name in ("shop", "blog"))
    api.arm(f"PATCH /applications/{shop}", "500")

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        run(api, factory()).run()

    assert api.state.options(blog) == "--runtime=runsc"


def test_the_token_may_be_in_a_file_of_ones_own(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    shop = api.state.add_app("shop", uuid_of(api, "run-1"))

    run(api, factory(), token_file=str(file)).run()

    assert api.state.options(shop) == "--runtime=runsc"
