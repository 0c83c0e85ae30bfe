"""Records that are lost, damaged or newer: mended, or refused before the first change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.deploys.remove import remove
from pyinfra_gvisor.deploys.rollback import roll_back
from pyinfra_gvisor.operations import docker, gvisor
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import generations, users
from tests.cases.proven import PROFILES, RELEASE, proven, proven_answer
from tests.table import table
from tests.unit.answers import in_base64
from tests.unit.proof.observations import output

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


def test_a_recovered_record_gives_everything_back(caplog: Log) -> None:
    answers = [proven_answer(without=("state.owned",)), proven_answer()]
    nodes = {"a": Node(answers, {"users": users()})}

    Fleet(nodes).done(docker.daemon_json, wanted={}, owner=GVISOR)

    assert nodes["a"].acted() == ["copy record", "daemon.json"]
    assert "\nafter_b64=-\n" in (nodes["a"].of("daemon.json").stdin or "")


def test_a_damaged_proof_counts_as_none() -> None:
    nodes = {"a": Node([proven_answer(**{"state.proof": in_base64('{"fingerprint": ')})])}

    meta = Fleet(nodes).add(gvisor.proof, RELEASE, profiles=PROFILES)

    assert meta["a"].will_change
