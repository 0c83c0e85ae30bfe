"""With ``-y`` a host with nothing to do runs no operation, and says what it would have said."""

from collections import Counter

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.run_support.ending import ended
from tests.arguments import Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import RELEASE, converged, proven, proven_answer
from tests.unit.answers import Running, answer
from tests.unit.proof.observations import output

OLD = "20240729.0"
OLDER = {**proven(), "releases": [RELEASE, OLD]}


def outcome(fleet: Fleet, name: str = "a") -> tuple[bool, str | None]:
    """Whether a host changed, and when it was proven."""
    end = ended(fleet.state)
    assert end
    (host,) = (item for item in end.hosts if item.name == f"@fake/{name}")
    return host.changed, host.proven


def test_it_is_called_proven_without_an_operation_beside_a_host_that_has_all() -> None:
    todo = Node([answer(**converged())], {"prove": Reply(output())})
    nodes = {"a": Node([proven_answer()]), "b": todo}

    fleet = Fleet(nodes, prepare=False).deployed(run_node)

    assert [len(fleet.state.ops[fleet.host(name)]) for name in nodes] == [0, 5]
    assert [outcome(fleet, name) for name in nodes] == [(False, "before"), (False, "now")]
    assert nodes["a"].kinds() == ["state"]
    assert todo.acted() == ["prove", "record"]


def test_a_run_that_makes_a_plan_lists_every_operation() -> None:
    fleet = Fleet({"a": Node([proven_answer()])}).deployed(run_node)

    assert len(fleet.state.ops[fleet.host("a")]) == 5


def test_what_an_operation_says_is_said_once_whether_it_runs_or_not(caplog: Log) -> None:
    old = f"/opt/gvisor/releases/{OLD}/runsc"
    given = {**OLDER, "containers": [Running("shop", executable=old, argv0="runsc-sandbox")]}
    undone = {**given, "state": converged()["state"]}
    settled, todo = Node([answer(**given)]), Node([answer(**undone)], {"prove": Reply(output())})

    fleet = Fleet({"a": settled, "b": todo}, prepare=False).deployed(run_node)

    lines = Counter(line for line in caplog.text.splitlines() if "until their next restart" in line)
    assert [*lines.values()] == [1, 1], lines
    assert settled.acted() == []
    assert len(fleet.state.ops[fleet.host("a")]) == 0


def test_what_cannot_be_read_fails_the_host_and_is_said_once(caplog: Log) -> None:
    data = {"gvisor_keep_releases": 1}
    item = Node([answer(**OLDER)], {"release users": Reply(["cut"])}, data)

    fleet = Fleet({"a": item, "b": Node([proven_answer()])}, prepare=False).deployed(run_node)

    assert fleet.failed() == {"a"}
    assert item.acted() == []
    assert caplog.text.count("the node's answer is incomplete") == 1
