"""``audit.findings`` with a Coolify on loopback that is asked what its apps ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.coolify.token import VARIABLE
from pyinfra_gvisor.operations import audit
from pyinfra_gvisor.settings import Settings, load_settings
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import proven_answer
from tests.coolify.api_client import serving
from tests.coolify.api_server import TOKEN, ApiServer
from tests.unit.answers import END
from tests.unit.audited import COOLIFY, app
from tests.unit.coolify_answers import answer as control_host
from tests.unit.coolify_answers import container, patched, persistent, php


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A Coolify with one server, whose token is in the environment."""
    monkeypatch.setenv(VARIABLE, TOKEN)
    with serving() as (server, _):
        server.state.add_server("run-1")
        yield server


def settings(api: ApiServer) -> Settings:
    """The default ones, and where Coolify is."""
    found, problems = load_settings({"gvisor_coolify_url": api.url})
    assert found, problems
    return found


def running(number: object) -> Node:
    """A node with a sandboxed container of the app with this number."""
    labels = {**COOLIFY, "coolify.applicationId": str(number), "coolify.pullRequestId": "0"}
    told = proven_answer()
    told[-1:] = [*app(labels=labels).lines(), END]
    return Node([told])


def number_of(api: ApiServer, uuid: str) -> Any:
    """What an app's containers are labelled with."""
    (server,) = api.state.servers
    return next(item["id"] for item in api.state.resources_of(server) if item["uuid"] == uuid)


def test_apps_are_asked_for_once_for_all_nodes_and_their_labels_are_read(api: ApiServer) -> None:
    (server,) = api.state.servers
    good = api.state.add_app("good", server, "--runtime=runsc")
    bad = api.state.add_app("bad", server, "--init")
    nodes = {"a": running(number_of(api, good)), "b": running(number_of(api, bad))}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(audit.findings, settings=settings(api))
    fleet.run()

    assert fleet.failed() == {"b"}  # its next deployment would lose the sandbox
    assert [item.asked for item in api.seen].count("GET /applications") == 1
    assert "coolify.applicationId" in nodes["a"].of("state").command


def test_a_coolify_that_refuses_fails_the_audit_of_every_node(
    api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.refusal = (403, "API is disabled.")
    fleet = Fleet({"a": running(1), "b": running(1)}, prepare=False)

    fleet.add(audit.findings, settings=settings(api))
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.run()

    assert caplog.text.count("HIGH apps-not-compared Coolify's API") == 2
    assert TOKEN not in caplog.text


def test_without_an_address_nobody_is_asked(api: ApiServer) -> None:
    fleet = Fleet({"a": running(1)}, prepare=False)

    fleet.add(audit.findings, settings=Settings())
    fleet.run()

    assert fleet.failed() == set()
    assert not api.seen


def test_a_control_host_is_asked_whether_it_honours_the_option(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dropping = control_host(container(), *php())
    nodes = {
        "bad": Node([proven_answer(), dropping], each_read=True),
        "good": Node([proven_answer(), control_host(*persistent(), *patched())], each_read=True),
    }
    fleet = Fleet(nodes, prepare=False, groups={"coolify": {}})

    fleet.add(audit.findings, settings=Settings())
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert "CRITICAL coolify-drops-option Coolify: Coolify ignores --runtime" in caplog.text
    assert [node.kinds() for node in nodes.values()] == [["state", "coolify state"]] * 2
