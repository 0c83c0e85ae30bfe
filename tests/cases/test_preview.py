"""What a run says about where containers would run, on the real engine, and what it asks for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.facts.node import NodeState
from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings, load_settings
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import INSTALLED, RELEASE
from tests.unit.answers import END, answer, compact

DATA = {"gvisor_default": "sandbox"}
ASKS = "gzip -d | perl - preview"


def declared(data: dict[str, Any]) -> Settings:
    """The settings in a host's data."""
    settings, problems = load_settings(data)
    assert settings, problems
    return settings


SETTINGS = declared(DATA)


def place(name: str, where: str, why: str) -> str:
    """The line that says where a container of runc would run when it is recreated."""
    given = {"asked": "runc", "when": "recreated", "where": where, "why": why}
    return "place " + compact({"id": name, "name": name, **given})


PLACES = [
    "preview asked",
    place("shop", "sandbox", "not infrastructure"),
    place("agent", "refused", "mount of /var/run/docker.sock"),
    place("proxy", "runc", "coolify-proxy: routes all apps"),
    "preview told",
]
TOLD = [
    "where containers run after their next start:",
    "agent: stays under runc until it is recreated, then would be REFUSED: mount of",
    "shop: stays under runc until it is recreated, then gVisor",
    "proxy: runc (coolify-proxy: routes all apps)",
]


def host(*lines: str, data: dict[str, Any] | None = None, **changes: Any) -> Node:
    """A host whose answer also has these lines."""
    given = answer(**{**INSTALLED, **changes})
    return Node([[*given[:-1], *lines, END]], data=DATA if data is None else data)


def prepared(node: Node, settings: Settings = SETTINGS, **config: Any) -> Fleet:
    """A fleet on which the wrappers are to be written."""
    fleet = Fleet({"a": node}, **config)
    fleet.add(gvisor.runtimes, RELEASE, profiles=settings.runtimes, dispatch=settings.dispatch)
    return fleet


@pytest.mark.parametrize(
    "prepare", [pytest.param(True, id="interactive"), pytest.param(False, id="with-yes")]
)
def test_where_each_container_would_run_is_said_once_and_before_anything_is_written(
    caplog: pytest.LogCaptureFixture, prepare: bool
) -> None:
    caplog.set_level("INFO")
    node = host(*PLACES)

    prepared(node, prepare=prepare).run()

    positions = [caplog.text.find(line) for line in TOLD]
    assert -1 not in positions
    assert positions == sorted(positions)
    assert [caplog.text.count(line) for line in TOLD] == [1] * len(TOLD)
    assert node.acted() == ["wrappers"]


def test_only_a_container_that_would_be_refused_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")

    prepared(host(*PLACES))

    warned = [item.getMessage() for item in caplog.records if item.levelname == "WARNING"]
    assert len(warned) == 1
    assert "agent: stays under runc" in warned[0]


def test_an_image_that_is_not_accepted_is_said_with_the_command(
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = {"id": "sha256:9", "names": ["helper:2"], "shapes": ["coolify-helper"]}

    prepared(host("preview asked", f"unaccepted {compact(image)}", "preview told"))

    assert "pyinfra-gvisor accept sha256:9" in caplog.text


def test_that_nobody_knows_where_containers_would_run_is_said_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    prepared(host("preview asked", 'preview_error "no answer to /info"', "preview told"))

    assert "unknown where containers would run" in caplog.text
    assert "no answer to /info" in caplog.text


def test_a_node_that_has_every_wrapper_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scripts = wrappers(RELEASE, SETTINGS.runtimes, SETTINGS.dispatch)

    prepared(host(*PLACES, wrappers={item.path: item.sha256 for item in scripts})).run()

    assert "next start" not in caplog.text


@pytest.mark.parametrize(
    ("data", "asks"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"gvisor_default": "off"}, False, id="off"),
        pytest.param(DATA, True, id="a-default-runtime"),
        pytest.param({"gvisor_seal": {}}, True, id="a-seal"),
        pytest.param({"gvisor_runtimes": {"runsc": {"seal": {}}}}, True, id="a-seal-of-one"),
        pytest.param({**DATA, "gvisor_release": "nonsense"}, False, id="settings-that-are-wrong"),
    ],
)
def test_a_node_is_asked_in_the_same_command_and_only_where_it_is_declared(
    data: dict[str, Any], asks: bool
) -> None:
    node = host(data=data)
    settings, _ = load_settings(data)

    prepared(node, settings or SETTINGS)

    assert node.kinds() == ["state"]
    assert (ASKS in node.of("state").command) is asks


def test_without_a_default_runtime_the_command_is_the_same_as_ever() -> None:
    node = host(data={})

    prepared(node, declared({}))

    assert str(NodeState().command()) in node.of("state").command


def test_an_audit_asks_the_same_in_its_one_command() -> None:
    node = host()
    fleet = Fleet({"a": node}, prepare=False)

    with suppress(PyinfraError):  # the host fails, because it is not as declared
        fleet.deploy(audit_node)
        fleet.run()

    assert node.kinds() == ["state"]
    assert ASKS in node.of("state").command
