"""The whole deploy on the real engine: checked before the first change, told, quiet when done."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api.arguments import all_global_arguments
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.facts.node import NodeState
from pyinfra_gvisor.operations import docker, egress, gvisor, kernel, resolver
from tests.cases.cli import CHECKOUT
from tests.cases.fleet import Fleet, Node, Reply, as_from_a_wheel
from tests.cases.guarded import KEPT, LOADED, PLAIN
from tests.cases.kept import users
from tests.cases.proven import converged, proven, proven_answer
from tests.unit.answers import answer, info
from tests.unit.egress.egress_states import told
from tests.unit.proof.observations import output

OPERATIONS = (
    docker.engine,
    docker.daemon_json,
    docker.generation,
    gvisor.release,
    gvisor.runtimes,
    gvisor.proof,
    kernel.surface,
    egress.rules,
    resolver.resolver,
)
OLD = {"gvisor_release": "20240729.0", "gvisor_source": "debian"}
NETSTACK = {"gvisor_runtimes": {"net": {"network": "sandbox", "dns": "docker"}}}
REASON = "throwaway nodes of a lab"


def test_a_deploy_that_changes_nothing_sends_one_command_a_host() -> None:
    nodes = {name: Node([proven_answer()]) for name in ("a", "b", "c")}
    fleet = Fleet(nodes)

    fleet.deploy(run_node)
    fleet.run()

    assert [item.kinds() for item in nodes.values()] == [["state"]] * 3
    assert fleet.failed() == set()


def test_what_stands_around_the_sandbox_is_there_before_it_is_proven() -> None:
    wrapped = {**converged(), "daemon_json": None}
    steps = [(PLAIN, item) for item in ({}, {}, {"releases": ["20260928.0"]}, wrapped)]
    steps += [*[(PLAIN, converged())] * 2, (LOADED, converged())]
    answers = [[*told(firewall), *answer(**given)] for firewall, given in steps]
    data = {"gvisor_kernel": {}, "gvisor_egress": {}}
    nodes = {"a": Node(answers, {"prove": Reply(output())}, data)}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    before = ["release", "wrappers", "daemon.json"]
    assert nodes["a"].acted() == ["kernel", *before, *KEPT, "prove", "record", "keeper"]
    assert fleet.failed() == set()


def test_from_a_wheel_hosts_may_have_different_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    as_from_a_wheel(monkeypatch)
    kernel, watch, none = {"gvisor_kernel": {}}, {"gvisor_watch": True}, {"gvisor_runtimes": {}}
    able = [*told(PLAIN), *proven_answer()]
    nodes = {
        str(number): Node([able], {"users": users()}, data)
        for number, data in enumerate((kernel, watch, none, {**kernel, **watch}))
    }
    fleet = Fleet(nodes, DIFF=True)

    fleet.deploy(run_node)
    fleet.run()

    assert fleet.failed() == set()


def test_a_dry_run_changes_nothing_and_tells_the_whole_story(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": Node([answer()]), "b": Node([proven_answer()])}

    Fleet(nodes, DIFF=True).deploy(run_node)

    assert {kind for item in nodes.values() for kind in item.kinds()} == {"state"}
    for line in ("install runsc 20260928.0", "write /opt/gvisor", "new, restart", "prove runsc"):
        assert line in caplog.text


def example(group: str) -> dict[str, Any]:
    """The settings of a group in the example inventory."""
    found = runpy.run_path(str(CHECKOUT / "inventories" / "group_data" / f"{group}.py"))
    return {key: value for key, value in found.items() if key.startswith("gvisor_")}


URL = "https://storage.googleapis.com/gvisor/releases/release/20260928.0/x86_64/gvisor.tar.bz2"


@pytest.mark.parametrize(
    ("group", "given", "says", "never"),
    [
        pytest.param(
            "run",
            {"releases": ["20260831.0"]},
            f"install runsc 20260928.0 from {URL} beside 20260831.0",
            (),
            id="run",
        ),
        pytest.param(
            "build",
            proven(),
            '-    "runtimes": {',
            ("install runsc", '-    "no-new-privileges"'),
            id="build",
        ),
        pytest.param(
            "coolify",
            {},
            '+    "default-address-pools": [',
            ("install runsc", '+    "runtimes": {', '+    "no-new-privileges"'),
            id="coolify",
        ),
    ],
)
def test_the_example_settings_of_a_group_plan_what_the_group_is_for(
    group: str,
    given: dict[str, Any],
    says: str,
    never: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    node = Node([answer(**given)], {"users": users()}, example(group))
    fleet = Fleet({"a": node}, groups={group: {}}, DIFF=True)

    fleet.deploy(run_node)

    text = re.sub(r"\x1b\[\d*m", "", caplog.text)
    assert fleet.failed() == set()
    assert says in text
    assert [line for line in never if line in text] == []


def test_address_pools_that_are_there_stay() -> None:
    pools = '{"default-address-pools" : [{"base":"10.9.0.0/16","size":24}],'
    node = Node([answer(daemon_json=f'{pools} "dns": []}}')], data=example("coolify"))
    fleet = Fleet({"a": node}, groups={"coolify": {}})

    fleet.deploy(run_node)
    fleet.run()

    assert pools in node.of("daemon.json").written()


BAD: list[Any] = [
    pytest.param(
        {"gvisor_relase": "x"},
        {},
        "gvisor_relase: unknown key, got x; use gvisor_release",
        id="mistyped-key",
    ),
    pytest.param({"gvisor_release": "x"}, {}, "gvisor_release: not a gVisor", id="bad-value"),
    pytest.param(OLD, {}, "release 20240729.0 has a known escape", id="known-escape"),
    pytest.param(
        {"gvisor_egress": {"deny": ["10.0.0.0/33"]}},
        {},
        "inventory, host @fake/bad: gvisor_egress: ['deny'] not an address or a network "
        "('10.0.0.0/33' does not appear to be an IPv4 or IPv6 network), got 10.0.0.0/33; write an "
        "address or a network with all host bits zero, such as 10.1.2.0/24. Nothing was changed.",
        id="bad-firewall",
    ),
    pytest.param(
        {"gvisor_runtimes": {"net": {"network": "host", "dns": "docker"}}},
        {},
        "inventory, host @fake/bad: gvisor_runtimes: ['net'] dns \"docker\" needs network "
        '"sandbox", got host; remove "dns" (with network "host" Docker\'s own resolver answers), '
        'or set network "sandbox". Nothing was changed.',
        id="names-of-dockers-with-dockers-names",
    ),
    pytest.param(
        NETSTACK,
        {},
        'preflight: node on @fake/bad: runtimes with "dns": "docker" need Python 3.10 or later, '
        "got none; apt-get install python3",
        id="nothing-to-answer-for-docker",
    ),
    pytest.param({}, {"uname": "4.19.0 x86_64"}, "gVisor needs Linux 5.6 or later", id="kernel"),
    pytest.param({}, {"without": ("info",)}, "dockerd does not answer", id="docker-down"),
    pytest.param({}, {"daemon_json": '{"a" 1}'}, "line 1 column 6: not JSON", id="not-json"),
    pytest.param({}, {"docker": info(swarm="active")}, "cannot be used in swarm", id="swarm"),
]


@pytest.mark.parametrize(("data", "given", "reason"), BAD)
def test_a_host_that_cannot_be_isolated_is_refused_before_any_host_is_touched(
    data: dict[str, Any], given: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = {"bad": Node([answer(**given)], data=data), "good": Node([proven_answer()])}
    fleet = Fleet(nodes)

    fleet.deploy(run_node)

    assert fleet.failed() == {"bad"}
    assert set(nodes["bad"].kinds()) <= {"state"}
    assert reason in caplog.text
    fleet.run()
    assert nodes["good"].kinds() == ["state"]


def test_a_refused_host_is_named_where_pyinfra_lists_failed_hosts() -> None:
    nodes = {"bad": Node([answer()], data={"gvisor_docker": "snap"}), "b": Node([proven_answer()])}
    fleet = Fleet(nodes)

    fleet.deploy(run_node)

    assert [host.name for host in fleet.state.failed_hosts] == ["@fake/bad"]


SNAP = {"gvisor_docker": "snap"}


@pytest.mark.parametrize(
    ("data", "fleet", "origin"),
    [
        pytest.param(SNAP, {}, "inventory, host @fake/bad", id="host"),
        pytest.param({}, {"override": SNAP}, "--data", id="command-line"),
        pytest.param({}, {"groups": {"run": SNAP}}, "group_data/run.py", id="group"),
        pytest.param(
            {}, {"groups": {"run": {}, "canary": SNAP}}, "group_data/canary.py", id="other-group"
        ),
        pytest.param(
            {}, {"groups": {"run": SNAP, "canary": SNAP}}, "group_data/canary.py", id="last-group"
        ),
        pytest.param(SNAP, {"groups": {"run": SNAP}}, "inventory, host @fake/bad", id="host-first"),
        pytest.param(SNAP, {"override": SNAP}, "--data", id="command-line-first"),
    ],
)
def test_a_bad_key_is_told_with_where_it_comes_from(
    data: dict[str, Any], fleet: dict[str, Any], origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    hosts = Fleet({"bad": Node([answer()], data=data)}, **fleet)

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        hosts.deploy(run_node)

    assert f"{origin}: gvisor_docker: input should be" in caplog.text


def test_a_file_that_pyinfra_ran_is_told_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ran = [tmp_path / name for name in ("deploys/run.py", "group_data/all.py", "group_data/run.py")]
    for path in ran:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    util = SimpleNamespace(PYTHON_CODES={str(path): None for path in ran})
    monkeypatch.setitem(sys.modules, "pyinfra_cli.util", util)
    monkeypatch.chdir(tmp_path)
    hosts = Fleet({"bad": Node([answer()])}, groups={"run": SNAP})

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        hosts.deploy(run_node)

    assert "[@fake/bad] group_data/run.py: gvisor_docker: " in caplog.text


def test_docker_is_installed_first_where_it_is_missing_and_may_be() -> None:
    missing = answer(without=("info", "dockerd", "clock", "docker_client"))
    nodes = {"a": Node([missing, proven_answer()], data={"gvisor_docker": "debian"})}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    assert nodes["a"].kinds() == ["state", "docker", "state"]


def test_an_accepted_risk_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    data = {**OLD, "gvisor_accept_risk": REASON}

    Fleet({"a": Node([answer()], data=data)}).deploy(run_node)

    assert "RISK ACCEPTED: runsc 20240729.0 is open to CVE-2025-2713" in caplog.text
    assert REASON in caplog.text


def test_a_package_that_writes_daemon_json_is_told_and_keeps_from_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = proven_answer()
    told[-1:] = ["writer runsc", told[-1]]
    fleet = Fleet({"a": Node([told])})

    fleet.deploy(run_node)

    said = "the package runsc may write /etc/docker/daemon.json when it is installed"
    assert said in caplog.text


def test_without_runtimes_only_docker_and_its_file_are_kept() -> None:
    nodes = {"a": Node([answer()], data={"gvisor_runtimes": {}})}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    assert [kind for kind in nodes["a"].kinds() if kind != "state"] == ["daemon.json"]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("release", id="release"),
        pytest.param("wrappers", id="wrappers"),
        pytest.param("daemon.json", id="daemon-json"),
        pytest.param("prove", id="proof"),
    ],
)
def test_after_a_step_that_failed_no_later_one_is_sent_to_that_host(broken: str) -> None:
    steps = ["release", "wrappers", "daemon.json", "prove", "record"]
    failing = {"prove": Reply(output()), broken: Reply(ok=False)}
    nodes = {"bad": Node([answer()], failing), "good": Node([proven_answer()])}
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    acted = [kind for kind in nodes["bad"].kinds() if kind != "state"]
    expected = steps[: steps.index(broken) + 1]
    assert acted == (steps if broken == "prove" else expected)  # that it failed is written down
    assert fleet.failed() == {"bad"}


@pytest.mark.parametrize(
    "operation", [pytest.param(item, id=item._inner.__name__) for item in OPERATIONS]
)
def test_no_operation_takes_an_argument_that_pyinfra_would_swallow(operation: Any) -> None:
    swallowed = {name for name, _ in all_global_arguments()}

    taken = set(operation._inner.__code__.co_varnames[: operation._inner.__code__.co_argcount])
    taken |= set(operation._inner.__kwdefaults__ or {})

    assert "name" in swallowed
    assert taken
    assert not taken & swallowed


def test_the_fact_needs_no_program_that_a_node_may_lack() -> None:
    assert NodeState().requires_command() is None


NONE = {"gvisor_runtimes": {}}
IDLE = {"users": users(("idle", False, "runsc"))}


def test_a_runtime_that_a_stopped_container_uses_is_not_taken_away_from_any_host(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = {
        "bad": Node([proven_answer()], IDLE, NONE),
        "good": Node([proven_answer()], {"users": users()}, NONE),
    }
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


def test_a_runtime_that_is_kept_for_a_container_is_told_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": Node([proven_answer()], IDLE, {**NONE, "gvisor_keep_running": True})}
    fleet = Fleet(nodes)

    fleet.deploy(run_node)
    fleet.run()

    assert nodes["a"].acted() == []
    assert fleet.failed() == set()
    assert caplog.text.count("runtime runsc is not declared, but these containers need it") == 1
    assert "these containers need it: idle (stopped). " in caplog.text
