"""What an earlier run has left: an interrupted change, an owed restart, lost or newer records."""

from collections.abc import Callable
from typing import Any

import pytest

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import detached, resumption
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.deploys.rollback import roll_back
from pyinfra_gvisor.operations import docker, gvisor
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply, done_by
from tests.cases.kept import changed, generations, users
from tests.cases.proven import DEFAULTS, PROFILES, RELEASE, WANTED, proven, proven_answer
from tests.table import table
from tests.unit.answers import LATER_S, after, answer, in_base64, node
from tests.unit.proof.observations import output

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


@table(
    "item, end",
    finished=(finished, "applied"),
    undone=(undone, "reverted, because it was interrupted"),
)
def test_it_is_told_once_before_and_what_became_of_it_and_what_was_undone_is_done_then(
    item: Any, end: str, caplog: Log
) -> None:
    node = item()

    Fleet({"a": node}).done(docker.daemon_json, LIVE, owner=GVISOR, _sudo=True)

    assert caplog.text.count(TOLD) == 1
    assert caplog.text.count(f"daemon.json: the earlier change is {end}\n") == 1
    first, *then = stdins(node)
    assert (first, len(then)) == (RESUMES, int(item is undone))
    assert all(sent.sudo for sent in node.sent)
    for line in ("action=reload", "expect_sha256=absent"):
        assert all(f"\n{line}\n" in (text or "") for text in then)


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


WISH: dict[str, Any] = {"userland-proxy": False, "live-restore": True}
OWING = changed({}, WISH, restart="reload")
RELOADING: dict[str, Any] = {"gvisor_restart": "reload"}
SAID = "/etc/docker/daemon.json on @fake/a: /userland-proxy: changed since dockerd started"


def test_a_change_that_owes_a_restart_reloads_and_every_later_run_says_so(caplog: Log) -> None:
    nodes = {"a": Node([answer(), answer(**OWING)])}
    Fleet(nodes).done(docker.daemon_json, WISH, owner=GVISOR, restart="reload")
    assert "\naction=reload\n" in (nodes["a"].of("daemon.json").stdin or "")
    assert SAID in caplog.text
    caplog.clear()
    later = {"a": Node([answer(**OWING)])}
    fleet = Fleet(later)

    meta = fleet.add(docker.daemon_json, WISH, owner=GVISOR, restart="reload")
    will_change = meta["a"].will_change
    fleet.run()

    assert later["a"].acted() == []
    assert (will_change, meta["a"].did_change()) == (False, False)
    assert [item.levelname for item in caplog.records if SAID in item.message] == ["WARNING"]


def owing_deploy() -> Data:
    """A node on which the deploy has left its restarts owed."""
    given = proven()
    plan = plan_daemon_json(node(), WANTED, if_absent=DEFAULTS, restart="reload")
    applied = {**given["state"]["applied"], "started_with": dict(plan.started_with or {})}
    return {**given, "state": {**given["state"], "applied": applied}}


@table(
    "data, given, told, acted",
    owed=(RELOADING, owing_deploy(), True, []),
    nothing_owed=(RELOADING, proven(), False, []),
    allowed_now=({}, owing_deploy(), False, ["daemon.json"]),
)
def test_the_setting_decides_for_a_deploy(
    data: Data, given: Data, told: bool, acted: list[str], caplog: Log
) -> None:
    nodes = {"a": Node([answer(**given), proven_answer()], data=data)}

    assert done_by(run_node, nodes["a"], prepare=False) == acted
    assert (SAID in caplog.text) is told


def test_a_deploy_that_needs_a_restart_and_may_not_is_refused_first(caplog: Log) -> None:
    never = {"gvisor_restart": "never"}
    nodes = {"a": Node([answer()], data=never), "good": Node([proven_answer()], data=never)}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)

    assert fleet.failed() == {"a"}
    assert nodes["a"].acted() == []
    where = "preflight: /etc/docker/daemon.json on @fake/a"
    assert f"{where}: the change needs a restart" in caplog.text


LOST = {"without": ("state.owned", "state.owned.copy")}
NEWER = {"state.owned": in_base64('{"version": 999}')}
NEWER_PROOF = {"state.proof": in_base64('{"version": 999}')}
REPLIES = {"generations": generations({}, proven()), "users": users(), "prove": Reply(output())}
DEPLOYS = [pytest.param(deploy, id=deploy.__name__) for deploy in (run_node, roll_back, remove)]


@pytest.mark.parametrize("deploy", DEPLOYS)
@table(
    "given, said",
    lost=(LOST, "owned.json is missing, and has no usable second copy"),
    newer=(NEWER, "owned.json is from a newer pyinfra-gvisor"),
    newer_proof=(NEWER_PROOF, "proof.json is from a newer pyinfra-gvisor"),
)
def test_it_is_refused_before_the_first_change(
    deploy: Callable[..., Any], given: Data, said: str, caplog: Log
) -> None:
    nodes = {"a": Node([proven_answer(**given)], REPLIES), "good": Node([proven_answer()], REPLIES)}
    fleet = Fleet(nodes)

    fleet.deploy(deploy)
    touched = [item.acted() for item in nodes.values()]
    fleet.run()

    assert (fleet.failed(), touched) == ({"a"}, [[], []])
    assert nodes["a"].acted() == []
    assert said in caplog.text


@table(
    "operation, named",
    keys=(docker.daemon_json, {"wanted": {"debug": True}, "owner": "other"}),
    generation=(docker.generation, {"number": 1}),
    proof=(gvisor.proof, {"version": RELEASE, "profiles": PROFILES, "when": "always"}),
    absent=(gvisor.absent, {}),
)
def test_no_operation_overwrites_newer_records(operation: Callable[..., Any], named: Data) -> None:
    states = [proven_answer(**NEWER_PROOF, state_dir="yes")]
    nodes = {"a": Node(states, REPLIES), "good": Node([proven_answer()], REPLIES)}

    fleet = Fleet(nodes).done(operation, **named)

    assert "a" in fleet.failed()
    assert nodes["a"].acted() == []


@table(
    "without, said",
    record=("state.owned", "owned.json is missing: restore it from"),
    copy=("state.owned.copy", "owned.copy.json is missing or differs: write"),
)
def test_the_copy_that_is_left_is_copied_and_no_more(without: str, said: str, caplog: Log) -> None:
    nodes = {"a": Node([proven_answer(without=(without,)), proven_answer()])}

    fleet = Fleet(nodes).deployed(run_node)

    again = Fleet({"a": Node([proven_answer()])}).deployed(run_node)

    assert nodes["a"].acted() == ["copy record"]
    assert caplog.text.count(said) == 1
    assert fleet.failed() == again.failed() == set()


def test_a_recovered_record_gives_everything_back_and_a_damaged_proof_counts_as_none() -> None:
    answers = [proven_answer(without=("state.owned",)), proven_answer()]
    item = Node(answers, {"users": users()})
    damaged = Node([proven_answer(**{"state.proof": in_base64('{"fingerprint": ')})])

    Fleet({"a": item}).done(docker.daemon_json, wanted={}, owner=GVISOR)
    meta = Fleet({"a": damaged}).add(gvisor.proof, RELEASE, profiles=PROFILES)

    assert item.acted() == ["copy record", "daemon.json"]
    assert "\nafter_b64=-\n" in (item.of("daemon.json").stdin or "")
    assert meta["a"].will_change
