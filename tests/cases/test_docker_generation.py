"""``docker.generation``: back to an earlier daemon.json, once, and told which."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.daemon_json.generations import plan_generation
from pyinfra_gvisor.operations import docker
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import changed, generations, kept_as
from tests.table import table
from tests.unit.answers import after, answer, node

ORIGINAL = '{"dns": []}'
BARE: dict[str, Any] = {"daemon_json": ORIGINAL}
OLD = changed(BARE, {"labels": ["old"]})
NEW = changed(OLD, {"labels": ["new"]})


def back(to: Data = OLD, number: int = 2) -> Data:
    """The node after it was taken back from ``NEW``."""
    return after(plan_generation(node(**NEW), kept_as(to, number)))


def changed_node(**replies: Reply) -> Node:
    """A node that was changed twice, and whose going back comes true."""
    kept = {"generations": generations(BARE, OLD)}
    return Node([answer(**NEW), answer(**back())], {**kept, **replies})


@table(
    "number, expected",
    newest=(None, OLD["daemon_json"]),
    asked_for=(2, OLD["daemon_json"]),
    before_us=(1, ORIGINAL),
)
def test_a_node_goes_back_by_one_transaction(number: int | None, expected: str) -> None:
    nodes = {"a": changed_node()}

    fleet = Fleet(nodes).done(docker.generation, number, timeout_s=7, wait_s=11)

    assert nodes["a"].acted() == ["daemon.json"]
    assert nodes["a"].of("daemon.json").written() == expected
    assert f'"generation":{number or 2}' in nodes["a"].of("daemon.json").written("applied")
    for line in ("timeout_s=7", "wait_s=11"):
        assert f"\n{line}\n" in (nodes["a"].of("daemon.json").stdin or "")
    assert fleet.failed() == set()


def test_asked_again_it_changes_nothing() -> None:
    kept = generations(BARE, OLD, NEW)
    nodes = {"a": Node([answer(**back())], {"generations": kept})}

    fleet = Fleet(nodes).done(docker.generation)

    assert nodes["a"].acted() == []
    assert not fleet.meta["a"].did_change()


BAD = {"malformed": Reply(["daemon 1 e30=", "end of generations"]), "failed": Reply(ok=False)}


@table("kept", BAD)
def test_a_host_that_cannot_go_back_is_refused_alone(kept: Reply, caplog: Log) -> None:
    nodes = {"bad": changed_node(generations=kept), "good": changed_node()}
    nodes["good"].replies = {"generations": generations(BARE, OLD, OLD, OLD, OLD)}

    fleet = Fleet(nodes).done(docker.generation)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == []
    assert nodes["good"].acted() == ["daemon.json"]
    where = "docker.generation: /etc/docker/daemon.json on @fake/bad: "
    assert f"{where}the node's state is not known; see" in caplog.text


def test_a_restart_that_is_not_made_stays_owed(caplog: Log) -> None:
    kept = generations(changed(BARE, {"mtu": 1400}))
    nodes = {"a": Node([answer(**NEW)], {"generations": kept})}

    Fleet(nodes, prepare=False).done(docker.generation, restart="reload")

    assert "\naction=reload\n" in (nodes["a"].of("daemon.json").stdin or "")
    assert "/mtu: changed since dockerd started, restart dockerd to apply" in caplog.text
