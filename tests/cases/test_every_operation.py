"""What holds for every operation: unknown is not empty, and a second attempt looks again."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.merge import GVISOR
from pyinfra_gvisor.operations import docker, gvisor
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import (
    DEFAULTS,
    PROFILES,
    RELEASE,
    SETTINGS,
    WANTED,
    converged,
    proven_answer,
)
from tests.unit.answers import answer

BARE = answer()
NO_DOCKER = answer(without=("info", "dockerd", "clock", "docker_client"))
CONVERGED = answer(**converged())

ENGINE = (docker.engine, {"flavour": "debian"})
DAEMON_JSON = (docker.daemon_json, {"wanted": WANTED, "owner": GVISOR, "if_absent": DEFAULTS})
INSTALL = (gvisor.release, {"version": RELEASE, "archive": SETTINGS.archive})
WRAPPERS = (gvisor.runtimes, {"version": RELEASE, "profiles": PROFILES})
PROOF = (gvisor.proof, {"version": RELEASE, "profiles": PROFILES})


def added(nodes: dict[str, Node], operation: Any, **globals_: Any) -> Fleet:
    """A fleet on which the operation was executed without being prepared."""
    function, named = operation
    fleet = Fleet(nodes, prepare=False)
    fleet.add(function, **named, **globals_)
    fleet.run()
    return fleet


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        pytest.param(ENGINE, "docker.engine", id="engine"),
        pytest.param(DAEMON_JSON, "docker.daemon_json", id="daemon-json"),
        pytest.param(INSTALL, "gvisor.release", id="release"),
        pytest.param(WRAPPERS, "gvisor.runtimes", id="runtimes"),
        pytest.param(PROOF, "gvisor.proof", id="proof"),
    ],
)
def test_an_operation_refuses_a_node_that_it_does_not_know(
    operation: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = {"bad": Node([["nonsense"]]), "good": Node([proven_answer()])}

    fleet = added(nodes, operation)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].kinds() == ["state"]
    assert f"{name}: " in caplog.text
    assert "on @fake/bad: the node's state is not known; see the error above" in caplog.text


@pytest.mark.parametrize(
    ("operation", "before", "kind"),
    [
        pytest.param(ENGINE, NO_DOCKER, "docker", id="engine"),
        pytest.param(DAEMON_JSON, BARE, "daemon.json", id="daemon-json"),
        pytest.param(INSTALL, BARE, "release", id="release"),
        pytest.param(WRAPPERS, BARE, "wrappers", id="runtimes"),
    ],
)
def test_a_second_attempt_reads_afresh_what_the_first_may_have_changed(
    operation: Any, before: list[str], kind: str
) -> None:
    nodes = {"a": Node([before], {kind: Reply(ok=False)}), "b": Node([proven_answer()])}

    added(nodes, operation, _retries=1, _retry_delay=0)

    assert nodes["a"].kinds() == ["state", kind] * 2


def test_a_node_that_cannot_be_read_again_before_its_probe_is_not_proven() -> None:
    bad = Node([CONVERGED, ["nonsense"]], each_read=True)

    fleet = added({"bad": bad, "good": Node([proven_answer()])}, PROOF)

    assert fleet.failed() == {"bad"}
    assert bad.kinds() == ["state", "state"]
