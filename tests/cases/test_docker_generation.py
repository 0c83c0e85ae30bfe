"""``docker.generation``: back to an earlier daemon.json, once, and told which."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from pyinfra_gvisor.daemon_json.generations import Generation, plan_generation
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.operations import docker
from tests.cases.fleet import Fleet, Node, Reply, both_ways
from tests.cases.kept import changed, generations
from tests.table import table
from tests.unit.answers import after, answer, node

ORIGINAL = '{"dns": []}'
BARE: dict[str, Any] = {"daemon_json": ORIGINAL}
OLD = changed(BARE, {"labels": ["old"]})
NEW = changed(OLD, {"labels": ["new"]})


def back(to: dict[str, Any] = OLD, number: int = 2) -> dict[str, Any]:
    """The node after it was taken back from ``NEW``."""
    generation = Generation(
        number=number, made_s=0, text=to["daemon_json"], owned=owned_by_us(node(**to))
    )
    return after(plan_generation(node(**NEW), generation))


def changed_node(**replies: Reply) -> Node:
    """A node that was changed twice, and whose going back comes true."""
    return Node(
        [answer(**NEW), answer(**back())], {"generations": generations(BARE, OLD), **replies}
    )


def written(item: Node, name: str = "after") -> str:
    """The file that the transaction would write, or a record."""
    (found,) = re.findall(rf"^{name}_b64=(\S+)$", item.of("daemon.json").stdin or "", re.MULTILINE)
    return base64.b64decode(found).decode()


@both_ways
@table(
    "number, expected",
    {
        "newest": (None, OLD["daemon_json"]),
        "asked-for": (2, OLD["daemon_json"]),
        "before-us": (1, ORIGINAL),
    },
)
def test_a_node_goes_back_by_one_transaction(
    number: int | None, expected: str, prepare: bool
) -> None:
    nodes = {"a": changed_node()}

    fleet = Fleet(nodes, prepare=prepare).done(docker.generation, number, timeout_s=7, wait_s=11)

    assert nodes["a"].acted() == ["daemon.json"]
    assert written(nodes["a"]) == expected
    assert f'"generation":{number or 2}' in written(nodes["a"], "applied")
    for line in ("timeout_s=7", "wait_s=11"):
        assert f"\n{line}\n" in (nodes["a"].of("daemon.json").stdin or "")
    assert fleet.failed() == set()


@both_ways
@table("number", {"newest": None, "asked-for": 2})
def test_asked_again_it_changes_nothing(number: int | None, prepare: bool) -> None:
    kept = generations(BARE, OLD, NEW)
    nodes = {"a": Node([answer(**back())], {"generations": kept})}

    fleet = Fleet(nodes, prepare=prepare).done(docker.generation, number)

    assert nodes["a"].acted() == []
    assert not fleet.meta["a"].did_change()


@both_ways
def test_it_is_told_once_where_a_node_goes_back_to(
    prepare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    Fleet({"a": changed_node()}, prepare=prepare, DIFF=True).done(docker.generation)

    assert caplog.text.count("generation 2: until 2023-11-14 22:13 UTC, no gVisor") == 1
    assert caplog.text.count("/etc/docker/daemon.json: changed, reload") == 1
    assert '"labels": ["old"]' in caplog.text


def test_a_dry_run_goes_nowhere() -> None:
    nodes = {"a": changed_node()}

    meta = Fleet(nodes).add(docker.generation)

    assert meta["a"].will_change
    assert nodes["a"].acted() == []


def test_sudo_is_passed_on_to_what_is_read_and_what_is_done() -> None:
    nodes = {"a": changed_node()}

    Fleet(nodes).done(docker.generation, _sudo=True)

    assert all(sent.sudo for sent in nodes["a"].sent)


NOT_KNOWN = "the node's state is not known; see"
BAD: dict[str, Any] = {
    "unknown": ({"number": 5}, generations(BARE, OLD), "no such generation, got 5; set"),
    "malformed": ({}, Reply(["daemon 1 e30=", "end of generations"]), NOT_KNOWN),
    "command-failed": ({}, Reply(ok=False), NOT_KNOWN),
}


@table("named, kept, reason", BAD)
@both_ways
def test_a_host_that_cannot_go_back_gets_no_command_and_the_other_goes_on(
    named: dict[str, Any],
    kept: Reply,
    reason: str,
    prepare: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = {"bad": changed_node(generations=kept), "good": changed_node()}
    nodes["good"].replies = {"generations": generations(BARE, OLD, OLD, OLD, OLD)}

    fleet = Fleet(nodes, prepare=prepare).done(docker.generation, **named)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == []
    assert nodes["good"].acted() == ["daemon.json"]
    where = "docker.generation: /etc/docker/daemon.json on @fake/bad: "
    assert f"{where}{reason}" in caplog.text


def test_a_restart_that_is_not_made_stays_owed(caplog: pytest.LogCaptureFixture) -> None:
    kept = generations(changed(BARE, {"mtu": 1400}))
    nodes = {"a": Node([answer(**NEW)], {"generations": kept})}

    Fleet(nodes, prepare=False).done(docker.generation, restart="reload")

    assert "\naction=reload\n" in (nodes["a"].of("daemon.json").stdin or "")
    assert "/mtu: changed since dockerd started, restart dockerd to apply" in caplog.text
