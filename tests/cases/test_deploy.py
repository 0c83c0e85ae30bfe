"""The whole deploy on the real engine: checked before the first change, told, quiet when done."""

import re
import runpy

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.facts.node import NodeState
from tests.arguments import Data, Log, Patch
from tests.cases.cli import CHECKOUT
from tests.cases.fleet import Fleet, Node, Reply, as_from_a_wheel, done_by
from tests.cases.guarded import KEPT, LOADED, PLAIN
from tests.cases.kept import users
from tests.cases.proven import converged, proven, proven_answer
from tests.table import table
from tests.unit.answers import answer
from tests.unit.egress.egress_states import told
from tests.unit.proof.observations import output

OLD = {"gvisor_release": "20240729.0", "gvisor_source": "debian"}
REASON = "throwaway nodes of a lab"


def test_a_deploy_that_changes_nothing_sends_one_command_a_host() -> None:
    nodes = {name: Node([proven_answer()]) for name in ("a", "b", "c")}

    fleet = Fleet(nodes).deployed(run_node)

    assert [item.kinds() for item in nodes.values()] == [["state"]] * 3
    assert fleet.failed() == set()
    assert NodeState().requires_command() is None, "which needs no program that a node may lack"


def test_docker_and_what_stands_around_the_sandbox_are_there_before_it_is_proven() -> None:
    wrapped = {**converged(), "daemon_json": None}
    steps = [(PLAIN, item) for item in ({}, {}, {"releases": ["20260928.0"]}, wrapped)]
    steps += [*[(PLAIN, converged())] * 2, (LOADED, converged())]
    answers = [[*told(firewall), *answer(**given)] for firewall, given in steps]
    data = {"gvisor_kernel": {}, "gvisor_egress": {}}
    item = Node(answers, {"prove": Reply(output())}, data)
    missing = answer(without=("info", "dockerd", "clock", "docker_client"))
    bare = Node([missing, proven_answer()], data={"gvisor_docker": "debian"})

    before = ["release", "wrappers", "daemon.json"]
    expected = ["kernel", *before, *KEPT, "prove", "record", "keeper"]
    assert done_by(run_node, item, prepare=False) == expected
    assert done_by(run_node, bare, prepare=False) == ["docker"]
    assert bare.kinds() == ["state", "docker", "state"]


def test_from_a_wheel_hosts_may_have_different_parts(monkeypatch: Patch) -> None:
    as_from_a_wheel(monkeypatch)
    kernel, watch, none = {"gvisor_kernel": {}}, {"gvisor_watch": True}, {"gvisor_runtimes": {}}
    able = [*told(PLAIN), *proven_answer()]
    nodes = {
        str(number): Node([able], {"users": users()}, data)
        for number, data in enumerate((kernel, watch, none, {**kernel, **watch}))
    }

    fleet = Fleet(nodes, DIFF=True).deployed(run_node)

    assert fleet.failed() == set()


def example(group: str) -> Data:
    """The settings of a group in the example inventory."""
    found = runpy.run_path(str(CHECKOUT / "inventories" / "group_data" / f"{group}.py"))
    return {key: value for key, value in found.items() if key.startswith("gvisor_")}


URL = "https://storage.googleapis.com/gvisor/releases/release/20260928.0/x86_64/gvisor.tar.bz2"


NO_NEW = '-    "no-new-privileges"'


@table(
    "group, given, says, never",
    run=(
        "run",
        {"releases": ["20260831.0"]},
        f"install runsc 20260928.0 from {URL} beside 20260831.0",
        (),
    ),
    build=("build", proven(), '-    "runtimes": {', ("install runsc", NO_NEW)),
    coolify=(
        "coolify",
        {},
        '+    "default-address-pools": [',
        ("install runsc", '+    "runtimes": {', '+    "no-new-privileges"'),
    ),
)
def test_the_example_settings_of_a_group_plan_what_the_group_is_for(
    group: str, given: Data, says: str, never: tuple[str, ...], caplog: Log
) -> None:
    node = Node([answer(**given)], {"users": users()}, example(group))
    fleet = Fleet({"a": node}, groups={group: {}}, DIFF=True)

    fleet.deploy(run_node)

    text = re.sub(r"\x1b\[\d*m", "", caplog.text)
    assert fleet.failed() == set()
    assert says in text
    assert [line for line in never if line in text] == []


@table(
    "data, given, reason",
    settings=({"gvisor_relase": "x"}, {}, "gvisor_relase: unknown key, got x; use gvisor_"),
    node=({}, {"uname": "4.19.0 x86_64"}, "gVisor needs Linux 5.6 or later"),
)
def test_a_host_that_cannot_be_isolated_is_refused_first(
    data: Data, given: Data, reason: str, caplog: Log
) -> None:
    nodes = {"bad": Node([answer(**given)], data=data), "good": Node([proven_answer()])}
    fleet = Fleet(nodes)

    fleet.deploy(run_node)

    assert fleet.failed() == {"bad"}
    assert set(nodes["bad"].kinds()) <= {"state"}
    assert reason in caplog.text
    fleet.run()
    assert nodes["good"].kinds() == ["state"]


SNAP = {"gvisor_docker": "snap"}


@table(
    "data, fleet, origin",
    host=(SNAP, {}, "inventory, host @fake/bad"),
    command_line=({}, {"override": SNAP}, "--data"),
    group=({}, {"groups": {"run": SNAP}}, "group_data/run.py"),
    other_group=({}, {"groups": {"run": {}, "canary": SNAP}}, "group_data/canary.py"),
    last_group=({}, {"groups": {"run": SNAP, "canary": SNAP}}, "group_data/canary.py"),
    host_first=(SNAP, {"groups": {"run": SNAP}}, "inventory, host @fake/bad"),
    command_line_first=(SNAP, {"override": SNAP}, "--data"),
)
def test_a_bad_key_is_told_by_origin(data: Data, fleet: Data, origin: str, caplog: Log) -> None:
    hosts = Fleet({"bad": Node([answer()], data=data)}, **fleet)

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        hosts.deploy(run_node)

    assert f"{origin}: gvisor_docker: must be" in caplog.text


def test_an_accepted_risk_is_repeated_and_a_package_that_writes_daemon_json_told(
    caplog: Log,
) -> None:
    told = proven_answer()
    told[-1:] = ["writer runsc", told[-1]]
    risky = Node([answer()], data={**OLD, "gvisor_accept_risk": REASON})
    fleet = Fleet({"a": risky, "b": Node([told])})

    fleet.deploy(run_node)

    assert fleet.failed() == set()
    assert "RISK ACCEPTED: runsc 20240729.0 is open to CVE-2025-2713" in caplog.text
    assert REASON in caplog.text
    said = "the package runsc may write /etc/docker/daemon.json when it is installed"
    assert said in caplog.text


NONE = {"gvisor_runtimes": {}}
IDLE = {"users": users(("idle", False, "runsc"))}


def test_a_runtime_that_a_stopped_container_uses_is_not_taken_away(caplog: Log) -> None:
    replies = {"bad": IDLE, "good": {"users": users()}}
    nodes = {name: Node([proven_answer()], given, NONE) for name, given in replies.items()}
    fleet = Fleet(nodes)

    fleet.deploy(run_node)
    touched = [item.acted() for item in nodes.values()]
    fleet.run()

    assert touched == [[], []]
    assert fleet.failed() == {"bad"}
    assert [item.acted() for item in nodes.values()] == [[], ["daemon.json"]]
    where = "preflight: /etc/docker/daemon.json on @fake/bad"
    assert f"{where}: the change would remove runtimes that containers need: " in caplog.text
    assert "runsc (these need it to start: idle (stopped)); " in caplog.text


def test_a_runtime_that_is_kept_for_a_container_is_told_and_changes_nothing(caplog: Log) -> None:
    item = Node([proven_answer()], IDLE, {**NONE, "gvisor_keep_running": True})

    assert done_by(run_node, item) == []
    assert caplog.text.count("runtime runsc is not declared, but these containers need it") == 1
    assert "these containers need it: idle (stopped). " in caplog.text
