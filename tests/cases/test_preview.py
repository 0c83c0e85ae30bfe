"""What a run says about where containers would run, on the real engine, and what it asks for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.facts.node import NodeState
from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings, load_settings
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node
from tests.cases.proven import INSTALLED, RELEASE
from tests.table import table
from tests.unit.answers import END, answer, compact
from tests.unit.settings.loaded_settings import good

DATA = {"gvisor_default": "sandbox"}
ASKS = "preview_state() {"


SETTINGS = good(**DATA)


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


def host(*lines: str, data: Data | None = None, **changes: Any) -> Node:
    """A host whose answer also has these lines."""
    given = answer(**{**INSTALLED, **changes})
    return Node([[*given[:-1], *lines, END]], data=DATA if data is None else data)


def prepared(node: Node, settings: Settings = SETTINGS, **config: Any) -> Fleet:
    """A fleet on which the wrappers are to be written."""
    fleet = Fleet({"a": node}, **config)
    fleet.add(gvisor.runtimes, RELEASE, profiles=settings.runtimes, dispatch=settings.dispatch)
    return fleet


@table("prepare", interactive=True, with_yes=False)
def test_where_each_container_would_run_is_said_once_and_first_one_that_is_refused_aloud(
    caplog: Log, prepare: bool
) -> None:
    node = host(*PLACES)

    prepared(node, prepare=prepare).run()

    positions = [caplog.text.find(line) for line in TOLD]
    assert -1 not in positions
    assert positions == sorted(positions)
    assert [caplog.text.count(line) for line in TOLD] == [1] * len(TOLD)
    assert node.acted() == ["wrappers"]
    (warned,) = (item.getMessage() for item in caplog.records if item.levelname == "WARNING")
    assert "agent: stays under runc" in warned


IMAGE = {"id": "sha256:9", "names": ["helper:2"], "shapes": ["coolify-helper"]}


@table(
    "line, said",
    not_accepted=(f"unaccepted {compact(IMAGE)}", ["pyinfra-gvisor accept sha256:9"]),
    not_known=(
        'preview_error "no answer to /info"',
        ["unknown where containers would run", "no answer to /info"],
    ),
)
def test_what_is_not_accepted_or_not_known_is_said(line: str, said: list[str], caplog: Log) -> None:
    prepared(host("preview asked", line, "preview told"))

    for text in said:
        assert text in caplog.text


def test_a_node_that_has_every_wrapper_says_nothing(caplog: Log) -> None:
    scripts = wrappers(RELEASE, SETTINGS.runtimes, SETTINGS.dispatch)

    prepared(host(*PLACES, wrappers={item.path: item.sha256 for item in scripts})).run()

    assert "next start" not in caplog.text


@table(
    "data, asks",
    nothing=({}, False),
    off=({"gvisor_default": "off"}, False),
    a_default_runtime=(DATA, True),
    a_seal=({"gvisor_seal": {}}, True),
    a_seal_of_one=({"gvisor_runtimes": {"runsc": {"seal": {}}}}, True),
    settings_that_are_wrong=({**DATA, "gvisor_release": "nonsense"}, False),
)
def test_a_node_is_asked_in_the_same_command_where_declared(data: Data, asks: bool) -> None:
    node = host(data=data)
    settings, _ = load_settings(data)

    prepared(node, settings or SETTINGS)

    assert node.kinds() == ["state"]
    command = node.of("state").command
    assert (ASKS in command, str(NodeState().command()) in command) == (asks, not asks)


def test_an_audit_asks_the_same_in_its_one_command() -> None:
    node = host()
    fleet = Fleet({"a": node}, prepare=False)

    with suppress(PyinfraError):  # the host fails, because it is not as declared
        fleet.deploy(audit_node)
        fleet.run()

    assert node.kinds() == ["state"]
    assert ASKS in node.of("state").command
