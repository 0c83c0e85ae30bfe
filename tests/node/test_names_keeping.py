"""Names outlive what happens on a node, and leave nothing when they go."""

import time

import pytest

from tests.node.audits import sh
from tests.node.containers import remove_containers
from tests.node.egress_nodes import at_once
from tests.node.names_asking import asked_while, left, program
from tests.node.names_nodes import ADDRESS, PAIRED, RUNTIMES, UNIT, Ground, containers
from tests.node.names_story import BEYOND, LARGE, by_name
from tests.node.seeing import processes
from tests.node.watching import within
from tools.lab import LabNode

pytestmark = pytest.mark.slow

NAME = "names-29"
GATEWAY = "172.31.1.1"


@pytest.fixture
def node(names: Ground) -> LabNode:
    """A node with names, and with all containers."""
    return names.ready(NAME)


def no_change_is_left_to_make(ground: Ground) -> None:
    """A run finds everything as declared."""
    outcome = ground.deploy(NAME)
    assert outcome.idle, outcome.stderr


def running(node: LabNode) -> list[str]:
    """The containers of these tests that run."""
    return [name for name in processes(node) if name in containers()]


def kill(node: LabNode) -> None:
    """Kill the resolver; another one comes."""
    before = program(node)
    sh(node, f"kill -9 {before}")
    assert within(30, lambda: program(node) not in ("0", before))


def has_names(ground: Ground, name: str = NAME, *, container: str = "red-gvisor") -> bool:
    """Whether a container has those of its network, and those outside."""
    wanted = {**by_name("tcp", PAIRED["red"]), **BEYOND}
    return ground.probe(name, container, wanted) == wanted


HELD_S = 9.0
TEMPORARY = "[Errno -3] Temporary failure in name resolution"


def test_dockerd_may_be_restarted_while_queries_go_on(names: Ground, node: LabNode) -> None:
    known = names.probe(NAME, "red-runsc", ["name/red-runc"])["name/red-runc"]
    running = processes(node)
    away_s: list[float] = []

    def restart() -> None:
        began_s = time.monotonic()
        sh(node, "systemctl reset-failed docker; systemctl restart docker")
        node.wait_until_ready()
        away_s.append(time.monotonic() - began_s)

    found = asked_while(node, restart, "red-runc")

    print(f"dockerd restarted in {away_s} s: {found}")  # noqa: T201
    # A query is held for 10 s, then answered as one that failed; never as a name that is unknown.
    late = {TEMPORARY} if away_s[0] > HELD_S else set()
    assert {*found["came"]} - late == {known}
    assert processes(node) == running
    assert has_names(names)
    no_change_is_left_to_make(names)


def test_a_resolver_that_is_killed_comes_back_and_no_name_is_lost(
    names: Ground, node: LabNode
) -> None:
    known = names.probe(NAME, "red-runsc", ["name/red-runc"])["name/red-runc"]
    before = program(node)

    def thrice() -> None:
        for _ in range(3):
            kill(node)

    found = asked_while(node, thrice, "red-runc")

    print(f"killed: {found}")  # noqa: T201
    assert list(found["came"]) == [known]
    assert program(node) not in ("0", before)
    assert has_names(names)
    no_change_is_left_to_make(names)


def test_without_it_a_query_fails_and_only_where_it_is_needed(names: Ground, node: LabNode) -> None:
    wanted = by_name("tcp", PAIRED["red"])
    sh(node, f"systemctl stop {UNIT}.socket {UNIT}.service")
    try:
        found = at_once(lambda name: names.probe(NAME, name, wanted), PAIRED["red"])
    finally:
        sh(node, f"systemctl start {UNIT}.socket {UNIT}.service")

    assert found["red-runc"] == found["red-runsc"] == wanted
    assert found["red-gvisor"] == {
        **dict.fromkeys(wanted, "failed"),
        "tcp/red-gvisor/80": "red-gvisor",  # from its /etc/hosts
    }
    assert has_names(names)
    no_change_is_left_to_make(names)


def test_after_a_power_cut_names_are_there_before_any_run(names: Ground, node: LabNode) -> None:
    before = names.probe(NAME, "bridged", BEYOND)

    node.kill()
    node.start()

    assert before == BEYOND
    assert within(120, lambda: sorted(running(node)) == sorted(containers()))
    assert within(60, lambda: has_names(names))
    assert names.resolves(NAME, "till-web-1", "till-db-1")
    no_change_is_left_to_make(names)


def test_behind_the_firewall_the_resolver_is_reached_and_nothing_else_of_the_node(
    names: Ground, node: LabNode
) -> None:
    forbidden = (f"tcp/{GATEWAY}/22", f"tcp/{ADDRESS}/22", f"tcp/{node.address}/22")
    before = names.probe(NAME, "red-gvisor", forbidden)
    try:
        names.deploy(NAME, egress={})
        found = names.probe(NAME, "red-gvisor", forbidden)
        resolved = has_names(names)
        large = names.probe(NAME, "red-gvisor", LARGE)
        inside = names.resolves(NAME, "till-web-1", "till-db-1")
        second = names.deploy(NAME, egress={})
    finally:
        names.deploy(NAME)

    assert all(word.startswith("SSH-2.0") for word in before.values())
    assert found == dict.fromkeys(forbidden, "EHOSTUNREACH")
    assert resolved
    assert large == LARGE
    assert inside
    assert second.idle


def test_undeclared_it_stays_for_those_that_ask_it_and_then_nothing_of_it_does(
    names: Ground,
) -> None:
    name = "names-29"
    node = names.ready(name)
    others = {**RUNTIMES, "gvisor": {"network": "sandbox"}}
    asking = [item for item, options in containers().items() if "--runtime=gvisor" in options]

    kept = names.deploy(name, runtimes=others)
    still = has_names(names, name)
    remove_containers(node, f"^/({'|'.join(asking)})$")
    removed = names.deploy(name, runtimes=others)
    nothing = left(node)
    second = names.deploy(name, runtimes=others)
    names.known.discard(name)

    assert still
    assert f"[{name}] stop the resolver" in removed.stderr
    assert nothing == []
    assert second.idle
    names.ready(name)
    assert has_names(names, name)
    said = next(line for line in kept.stderr.splitlines() if "the resolver stays" in line)
    assert sorted(said.rpartition(": ")[2].split(", ")) == sorted(set(asking) - {"bridged"})
