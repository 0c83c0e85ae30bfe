"""A change that was interrupted is ended before anything else, and what became of it is told."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import detached, resumption
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import docker
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply, done_by
from tests.cases.kept import generations
from tests.cases.proven import proven, proven_answer
from tests.table import table
from tests.unit.answers import LATER_S, after, answer, node

LIVE: dict[str, Any] = {"live-restore": True}
DONE = after(plan_daemon_json(node(), LIVE))
HALF: dict[str, Any] = {"daemon_json": DONE["daemon_json"], "mtime_s": LATER_S, "pending": "yes"}
TOLD = "an earlier change was interrupted; this run finishes or undoes it first"
UNENDED = "@fake/bad: an earlier change was interrupted and could not be finished or undone; "
RESUMES = detached(resumption())[1]

DAEMON_JSON: Any = (docker.daemon_json, {"wanted": LIVE, "owner": GVISOR})
GENERATION: Any = (docker.generation, {})
ENGINE: Any = (docker.engine, {"flavour": "present"})
EVERY = {"daemon-json": DAEMON_JSON, "generation": GENERATION, "engine": ENGINE}


def ended(given: Data, result: str, reason: str = "") -> list[str]:
    """The node's answer after its earlier change has ended like this."""
    record = {"result": result, "reason": reason}
    return answer(**{**given, "state": {**given.get("state", {}), "last-run": record}})


def finished() -> Node:
    """A node whose interrupted change turns out to be what is wanted."""
    return Node([answer(**HALF), ended(DONE, "applied")], {"generations": generations(DONE)})


def undone() -> Node:
    """A node on which nothing is left of its interrupted change."""
    states = [answer(**HALF), ended({}, "reverted", "it was interrupted"), answer(**DONE)]
    return Node(states, {"generations": generations({})})


def stdins(item: Node) -> list[str | None]:
    """What the scripts of the transaction were given."""
    return [sent.stdin for sent in item.sent if sent.kind == "daemon.json"]


@table("operation", EVERY)
def test_it_is_ended_by_what_it_left_on_the_node_and_that_is_a_change(
    operation: Any, caplog: Log
) -> None:
    item = finished()
    fleet = Fleet({"a": item})
    function, named = operation

    meta = fleet.add(function, **named)
    prepared = (meta["a"].will_change, item.acted(), TOLD in caplog.text)
    fleet.run()

    assert prepared == (True, [], True)
    assert stdins(item) == [RESUMES]
    assert meta["a"].did_change()
    assert fleet.failed() == set()


def test_where_it_was_undone_what_is_wanted_is_done_then() -> None:
    nodes = {"a": undone()}

    Fleet(nodes).done(docker.daemon_json, LIVE, owner=GVISOR, _sudo=True)

    first, second = stdins(nodes["a"])
    assert all(sent.sudo for sent in nodes["a"].sent)
    assert first == RESUMES
    assert "\naction=reload\n" in (second or "")
    assert "\nexpect_sha256=absent\n" in (second or "")


@table(
    "item, end",
    finished=(finished, "applied"),
    undone=(undone, "reverted, because it was interrupted"),
)
def test_it_is_told_once_before_and_what_became_of_it(item: Any, end: str, caplog: Log) -> None:
    Fleet({"a": item()}).done(docker.daemon_json, LIVE, owner=GVISOR)

    assert caplog.text.count(TOLD) == 1
    assert caplog.text.count(f"daemon.json: the earlier change is {end}\n") == 1


@table("operation", EVERY)
@table(
    "states, ends, said",
    still_interrupted=([answer(**HALF)], True, UNENDED),
    not_known_any_more=([answer(**HALF), ["nonsense"]], True, UNENDED),
    command_failed=([answer(**HALF)], False, "dockerd does not answer"),
)
def test_where_it_cannot_be_ended_nothing_is_done(
    states: list[list[str]], ends: bool, said: str, operation: Any, caplog: Log
) -> None:
    ending = Reply(ok=ends, stderr=["dockerd does not answer"])
    replies = {"generations": generations({}), "daemon.json": ending}
    nodes = {"bad": Node(states, replies), "good": finished()}
    function, named = operation

    fleet = Fleet(nodes, prepare=False).done(function, **named)

    assert fleet.failed() == {"bad"}
    assert stdins(nodes["bad"]) == [RESUMES]
    assert said in caplog.text


@table(
    "given",
    docker_up={},
    docker_down={"without": ("info",)},
    a_file_that_only_the_end_mends={"daemon_json": '{"cut'},
)
def test_the_deploy_ends_it_before_it_touches_anything(given: Data) -> None:
    half = answer(**{**proven(), "pending": "yes", **given})
    nodes = {"a": Node([half, proven_answer()])}

    assert done_by(run_node, nodes["a"]) == ["daemon.json"]
    assert stdins(nodes["a"]) == [RESUMES]
