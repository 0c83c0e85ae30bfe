"""The fact is read once, kept until something changes, and never mistaken for an empty node."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from pyinfra.api import StringCommand, operation
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host, ctx_state

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.facts.node import NodeState, forget_node, read_node
from pyinfra_gvisor.operations import docker, gvisor
from tests.arguments import Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import DEFAULTS, PROFILES, RELEASE, SETTINGS, WANTED, proven_answer
from tests.table import table
from tests.unit.answers import answer, node

UNPARSABLE = {
    "not-an-answer": ["sudo: a password is required"],
    "cut-off": answer()[:-1],
    "malformed": answer(page_size="many"),
    "strange-container": [*answer()[:-1], "container []", answer()[-1]],
    "command-failed": Reply(ok=False, stderr=["Connection reset"]),
    "no-output": [],
}


@operation()
def touch(path: str) -> Generator[StringCommand, None, None]:
    """An operation of somebody else that does something."""
    yield StringCommand("touch", path)


@operation()
def idle(reason: str) -> Generator[StringCommand, None, None]:
    """An operation of somebody else that does nothing."""
    yield from ()


def add_all(fleet: Fleet) -> None:
    """What the deploy does, in its order."""
    fleet.add(docker.engine, "present")
    fleet.add(gvisor.release, RELEASE, archive=SETTINGS.archive)
    fleet.add(gvisor.runtimes, RELEASE, profiles=PROFILES)
    fleet.add(docker.daemon_json, WANTED, owner=GVISOR, if_absent=DEFAULTS)
    fleet.add(gvisor.proof, RELEASE, profiles=PROFILES)


def read(fleet: Fleet, name: str) -> object:
    """The node as an operation would read it."""
    with ctx_state.use(fleet.state), ctx_host.use(fleet.host(name)):
        return read_node(fleet.host(name))


def test_preparing_asks_a_node_once_whatever_will_change() -> None:
    nodes = {"a": Node([answer()])}
    fleet = Fleet(nodes)

    add_all(fleet)

    assert nodes["a"].kinds() == ["state"]


def test_after_an_operation_acted_the_next_one_reads_afresh_or_what_that_one_read() -> None:
    nodes = {name: Node([answer(), proven_answer()]) for name in ("installed", "declared")}
    installing, declaring = (Fleet({"a": item}, prepare=False) for item in nodes.values())
    installing.add(gvisor.release, RELEASE, archive=SETTINGS.archive)
    installing.add(gvisor.runtimes, RELEASE, profiles=PROFILES)
    for fleet in (installing, declaring):
        fleet.add(docker.daemon_json, WANTED, owner=GVISOR, if_absent=DEFAULTS)
    declaring.add(docker.engine, "present")

    installing.run()
    declaring.run()

    assert nodes["installed"].kinds() == ["state", "release", "state"]
    assert nodes["declared"].kinds() == ["state", "daemon.json", "state"]


@table(
    "other, kinds",
    that_acted=(touch, ["state", "touch /x", "state"]),
    that_did_nothing=(idle, ["state"]),
)
def test_somebody_elses_operation_counts_only_if_it_acted(other: object, kinds: list[str]) -> None:
    nodes = {"a": Node([proven_answer()])}
    fleet = Fleet(nodes, prepare=False)
    fleet.add(docker.engine, "present")
    fleet.add(other, "/x")  # type: ignore[arg-type]
    fleet.add(docker.daemon_json, WANTED, owner=GVISOR, if_absent=DEFAULTS)

    fleet.run()

    assert nodes["a"].kinds() == kinds


def test_what_was_read_is_kept_and_forgotten_by_host_once_the_run_executes() -> None:
    nodes = {"a": Node([answer()]), "b": Node([answer()])}
    fleet = Fleet(nodes)
    read(fleet, "a"), read(fleet, "a"), read(fleet, "b")
    forget_node(fleet.host("a"))  # which is only prepared
    read(fleet, "a")
    prepared = len(nodes["a"].sent)
    fleet.state.is_executing = True

    forget_node(fleet.host("a"))
    forget_node(fleet.host("a"))  # of which nothing is kept any more

    assert read(fleet, "a") == read(fleet, "b") == node()
    assert [prepared, *(len(item.sent) for item in nodes.values())] == [1, 2, 1]


@table("state", UNPARSABLE)
def test_a_node_that_cannot_be_read_is_unknown_and_not_empty(state: list[str]) -> None:
    nodes = {"bad": Node([state]), "good": Node([answer()])}
    fleet = Fleet(nodes)

    found = read(fleet, "bad")

    assert found is None
    assert read(fleet, "good") == node()


def test_what_could_not_be_read_is_asked_again_and_not_remembered() -> None:
    nodes = {"a": Node([[]]), "b": Node([answer()])}
    fleet = Fleet(nodes)
    first = read(fleet, "a")
    nodes["a"].states = [answer()]

    second = read(fleet, "a")

    assert (first, second) == (None, node())


def test_the_last_host_that_cannot_be_read_ends_the_run_as_pyinfra_does(caplog: Log) -> None:
    command, fleet = str(NodeState().command()), Fleet({"bad": Node([["nonsense"]])})

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.add(docker.engine, "present")

    assert "the node's answer is incomplete: it ends after 1 lines" in caplog.text
    assert command.startswith("sh -c '"), "one shell with the whole script as its argument"
    assert "end of node state" in command
