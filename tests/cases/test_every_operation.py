"""What holds for every operation: unknown is not empty, and a second attempt looks again."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.coolify.survey import Choice, Survey
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.operations import (
    audit,
    coolify,
    docker,
    egress,
    gvisor,
    kernel,
    resolver,
    upgrade,
    watch,
)
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.platforms.coolify_apps import CoolifyApps
from pyinfra_gvisor.runs import coolify_apps
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import generations, users
from tests.cases.proven import (
    DEFAULTS,
    PROFILES,
    RELEASE,
    SETTINGS,
    WANTED,
    converged,
    proven,
    proven_answer,
)
from tests.unit.answers import answer
from tests.unit.coolify_answers import answer as control_host
from tests.unit.coolify_answers import patched, persistent
from tests.unit.resolver_answers import ABLE, told

NO_APPS = CoolifyApps(Any, Choice("runsc", ()), Survey())  # type: ignore[arg-type]

BARE = answer()
ABLE_TO_NAME = told(ResolverState(**ABLE))
NO_DOCKER = answer(without=("info", "dockerd", "clock", "docker_client"))
CONVERGED = answer(**converged())

ENGINE = (docker.engine, {"flavour": "debian"})
DAEMON_JSON = (docker.daemon_json, {"wanted": WANTED, "owner": GVISOR, "if_absent": DEFAULTS})
INSTALL = (gvisor.release, {"version": RELEASE, "archive": SETTINGS.archive})
WRAPPERS = (gvisor.runtimes, {"version": RELEASE, "profiles": PROFILES})
GENERATION = (docker.generation, {"number": 1})
ABSENT = (gvisor.absent, {})
LINK = (gvisor.link, {"version": RELEASE})
CANARY = (upgrade.canary, {"version": RELEASE, "profiles": PROFILES})
COLLECTION = (upgrade.collection, {"version": RELEASE})
AUDIT = (audit.findings, {"settings": SETTINGS})
WATCH = (watch.watch, {"wanted": True})
OPTION = (coolify.runtime_option, {})
PERSISTENCE = (coolify.persistence, {})
APPS = (coolify.apps, {"settings": SETTINGS})
KERNEL = (kernel.surface, {"wanted": Kernel()})
EGRESS = (egress.rules, {"wanted": Egress()})
RESOLVER = (resolver.resolver, {"wanted": True})
PROOF = (gvisor.proof, {"version": RELEASE, "profiles": PROFILES})


def added(nodes: dict[str, Node], operation: Any, **globals_: Any) -> Fleet:
    """A fleet on which the operation was executed without being prepared."""
    function, named = operation
    fleet = Fleet(nodes, prepare=False)
    fleet.add(function, **named, **globals_)
    fleet.run()
    return fleet


def known(name: str = "") -> Node:
    """A node, or a control host, that is as it should be, and was like that before."""
    if name.startswith("coolify."):
        return Node([control_host(*persistent(), *patched())])
    replies = {"generations": generations(proven()), "users": users()}
    return Node([[*ABLE_TO_NAME, *proven_answer()]], replies)


OPERATIONS = {
    "docker.engine": ENGINE,
    "docker.daemon_json": DAEMON_JSON,
    "docker.generation": GENERATION,
    "gvisor.release": INSTALL,
    "gvisor.runtimes": WRAPPERS,
    "gvisor.absent": ABSENT,
    "gvisor.link": LINK,
    "gvisor.proof": PROOF,
    "upgrade.canary": CANARY,
    "upgrade.collection": COLLECTION,
    "audit.findings": AUDIT,
    "watch.watch": WATCH,
    "kernel.surface": KERNEL,
    "egress.rules": EGRESS,
    "resolver.resolver": RESOLVER,
    "coolify.runtime_option": OPTION,
    "coolify.persistence": PERSISTENCE,
    "coolify.apps": APPS,
}


def test_no_operation_is_left_out_here() -> None:
    there = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (audit, coolify, docker, egress, gvisor, kernel, resolver, upgrade, watch)
        for name, item in vars(module).items()
        if hasattr(item, "_inner") and item.__module__ == module.__name__
    }

    assert there == set(OPERATIONS)


@pytest.mark.parametrize(
    ("name", "operation"), [pytest.param(*item, id=item[0]) for item in OPERATIONS.items()]
)
def test_an_operation_refuses_a_node_that_it_does_not_know(
    name: str, operation: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coolify_apps, "look", lambda *_: NO_APPS)
    nodes = {"bad": Node([["nonsense"]]), "good": known(name)}

    fleet = added(nodes, operation)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].kinds() in (["state"], ["coolify state"])
    assert f"{name}: " in caplog.text
    assert "on @fake/bad: the node's state is not known; see the error above" in caplog.text


@pytest.mark.parametrize(
    ("operation", "before", "kind"),
    [
        pytest.param(ENGINE, NO_DOCKER, "docker", id="engine"),
        pytest.param(DAEMON_JSON, BARE, "daemon.json", id="daemon-json"),
        pytest.param(INSTALL, BARE, "release", id="release"),
        pytest.param(WRAPPERS, BARE, "wrappers", id="runtimes"),
        pytest.param(LINK, BARE, "link", id="link"),
        pytest.param(GENERATION, CONVERGED, "daemon.json", id="generation"),
        pytest.param(ABSENT, CONVERGED, "remove", id="absent"),
        pytest.param(KERNEL, BARE, "kernel", id="kernel"),
        pytest.param(EGRESS, BARE, "egress try", id="egress"),
        pytest.param(RESOLVER, [*ABLE_TO_NAME, *BARE], "resolver", id="resolver"),
    ],
)
def test_a_second_attempt_reads_afresh_what_the_first_may_have_changed(
    operation: Any, before: list[str], kind: str
) -> None:
    replies = {kind: Reply(ok=False), "generations": generations({}), "users": users()}
    nodes = {"a": Node([before], replies), "b": known()}

    added(nodes, operation, _retries=1, _retry_delay=0)

    sent = [item for item in nodes["a"].kinds() if item not in ("generations", "users")]
    assert sent == ["state", kind] * 2


def test_a_node_that_cannot_be_read_again_before_its_probe_is_not_proven() -> None:
    bad = Node([CONVERGED, ["nonsense"]], each_read=True)

    fleet = added({"bad": bad, "good": Node([proven_answer()])}, PROOF)

    assert fleet.failed() == {"bad"}
    assert bad.kinds() == ["state", "state"]
