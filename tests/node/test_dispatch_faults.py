"""A default runtime with something missing or broken: nothing starts outside of a sandbox."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.node.audits import sh
from tests.node.dispatching import (
    DEFAULT,
    IMAGE,
    MARKS,
    ORIGINAL,
    Ground,
    in_sandbox,
    kernel,
    outside_sandboxes,
    start,
)
from tests.node.egress_nodes import at_once
from tests.node.running import daemon_json, docker_info, no_leftovers, processes, remove_containers
from tests.node.turns import steps_of_turn
from tools.lab import LabNode

pytestmark = pytest.mark.slow

NODES = ("docker-20", "docker-29")
# Without the door, which refuses in most of these cases before a runtime is called.
AT_START = {**DEFAULT, "door": "off"}
PERL = "/usr/bin/perl"
PYTHON = "/usr/bin/python3"
UNIT = "pyinfra-gvisor-judge"
ALONE = f"systemctl stop {UNIT}.socket"  # so that wrappers run the judge by themselves
OPTIONS = "/var/lib/docker/volumes/slow/opts.json"  # of a volume, which the judge reads
LONG = "86399"
"""Seconds that a process of these tests sleeps, by which it is found on the node."""
MENDS = "reinstall python3 and run pyinfra-gvisor apply"
LIMIT_S = 10
"""Within which a judge that hangs must decide in these tests."""
ANSWER_S = 5
"""Within which dockerd must answer; without load it does in less than a tenth."""


@dataclass(frozen=True)
class Fault:
    """
    Something that is broken on a node. Commands and texts may name ``Files``.

    + broken: the command that breaks it
    + said: what Docker's error has when a container starts, as a regular expression
    + mended: what the operator has to do before the next run
    """

    broken: str
    said: str
    mended: str = ""


FAULTS = {
    "dispatcher-missing": Fault("rm {dispatcher}", "{dispatcher}: no such file or directory"),
    "dispatcher-not-executable": Fault("chmod 644 {dispatcher}", "{dispatcher}: permission denied"),
    "dispatcher-damaged": Fault(
        "sed -i s/esac/essac/ {dispatcher}",
        "{dispatcher} did not terminate successfully: exit status 2",
    ),
    "dispatcher-empty": Fault("truncate -s 0 {dispatcher}", "{dispatcher}: exec format error"),
    "policy-damaged": Fault(
        "sed -i 's/^# rules: /&{{/' {dispatcher}", "{dispatcher} is not complete"
    ),
    "judge-missing": Fault(
        f"{ALONE}; rm {{judge}}", f"the judge ended with code 2, so .* {{judge}}.*; {MENDS}"
    ),
    "judge-damaged": Fault(
        f"{ALONE}; sed -i '$a )' {{judge}}",
        f"the judge ended with code 1, so .* {{judge}}.*; {MENDS}",
    ),
    "sandbox-missing": Fault(
        "rm {sandbox}", "{sandbox} is missing or not executable, so .*; run pyinfra-gvisor apply"
    ),
    "sandbox-not-executable": Fault(
        "chmod 644 {sandbox}",
        "{sandbox} is missing or not executable, so .*; run pyinfra-gvisor apply",
    ),
    "python-missing": Fault(
        f"{ALONE}; mv {PYTHON} {PYTHON}.away",
        f"{PYTHON} is missing, so .*; install python3",
        mended=f"mv {PYTHON}.away {PYTHON}",
    ),
    "marks-not-a-directory": Fault(
        f"rm -r {MARKS}; touch {MARKS}",
        f"{MARKS} cannot be written; check that it is a directory and that /run has space",
        mended=f"rm {MARKS}",
    ),
}


def files(node: LabNode) -> dict[str, str]:
    """Return the programs of the default runtime, by what they are."""
    dispatcher = str(docker_info(node)["Runtimes"]["gvisordefault"]["path"])
    text = sh(node, f"cat {dispatcher}")
    named = {
        what: re.findall(rf"/opt/gvisor/runtimes/{name}-[0-9a-f.-]+", text)[0]
        for what, name in (("judge", "judge"), ("sandbox", "runsc"))
    }
    return {"dispatcher": dispatcher, **named}


@pytest.fixture(scope="module")
def guarded(dispatch: Ground) -> Iterator[dict[str, LabNode]]:
    """Nodes with a container that runs through all faults."""
    dispatch.deploy(*NODES, **AT_START)
    dispatch.known.difference_update(NODES)
    found = {name: dispatch.nodes[name] for name in NODES}
    for node in found.values():
        remove_containers(node, ".")  # a removal names all that need the default runtime
        start(node, "steady")
    yield found
    at_once(lambda kind: remove_containers(found[kind], "^/steady$"), NODES)


# What Docker itself says of a dispatcher is tried with each; what the dispatcher says, with one.
_SAID_BY_DOCKER = [name for name in FAULTS if name.startswith("dispatcher-")]
_OTHERS = [name for name in FAULTS if name not in _SAID_BY_DOCKER]
ROUNDS: list[dict[str, str]] = [
    {kind: _SAID_BY_DOCKER[(first + at) % len(_SAID_BY_DOCKER)] for at, kind in enumerate(NODES)}
    for first in range(len(_SAID_BY_DOCKER))
] + [
    dict(zip(NODES, _OTHERS[first:], strict=False)) for first in range(0, len(_OTHERS), len(NODES))
]


def test_each_fault_has_its_turn() -> None:
    tried = {(fault, kind) for turn in ROUNDS for kind, fault in turn.items()}

    assert {(name, kind) for name in _SAID_BY_DOCKER for kind in NODES} < tried
    assert {fault for fault, _ in tried} == {*FAULTS}


@pytest.mark.parametrize("turn", steps_of_turn(ROUNDS), ids=lambda turn: "+".join(turn.values()))
def test_nothing_starts_outside_of_a_sandbox_and_the_next_run_repairs_it(
    guarded: dict[str, LabNode], dispatch: Ground, turn: dict[str, str]
) -> None:
    nodes = {kind: guarded[kind] for kind in turn}
    running = {kind: processes(node) for kind, node in nodes.items()}

    at_once(lambda kind: refuses(nodes[kind], FAULTS[turn[kind]]), turn)
    dispatch.deploy(*turn, **AT_START)

    for kind, node in nodes.items():
        assert processes(node) == running[kind]
        assert in_sandbox(node, "steady")
        start(node, "repaired")
        assert in_sandbox(node, "repaired")
    at_once(lambda kind: remove_containers(nodes[kind], "^/repaired$"), turn)


def refuses(node: LabNode, fault: Fault) -> None:
    """Check that a broken node starts nothing, and says why."""
    there = files(node)
    sh(node, fault.broken.format(**there))

    ran = node.exec("docker", "run", "-d", "--name", "refused", IMAGE, "sleep", LONG)
    stands = node.exec("docker", "inspect", "--format", "{{.State.Error}}", "refused")
    found = outside_sandboxes(node, LONG)
    remove_containers(node, "^/refused$")
    sh(node, fault.mended or "true")

    assert found == []
    assert ran.code in (125, 126, 127), ran.stdout
    for said in (ran.stderr, stands.stdout):
        assert re.search(fault.said.format(**there), said), said


def test_after_all_repairs_a_run_changes_nothing(
    guarded: dict[str, LabNode], dispatch: Ground
) -> None:
    outcome = dispatch.run(*guarded, **AT_START)

    assert outcome.idle, outcome.text


@pytest.mark.parametrize("kind", NODES)
def test_a_process_outside_of_a_sandbox_would_be_found(
    guarded: dict[str, LabNode], kind: str
) -> None:
    node = guarded[kind]

    start(node, "outside", "--runtime=runc", command=("sleep", LONG))
    start(node, "inside", command=("sleep", LONG))

    assert [line.strip() for line in outside_sandboxes(node, LONG)] == [f"sleep {LONG}"]
    remove_containers(node, "^/(out|in)side$")


def test_without_perl_a_run_changes_nothing_and_says_so(
    guarded: dict[str, LabNode], dispatch: Ground
) -> None:
    node = guarded["docker-29"]
    sh(node, f"mv {PERL} {PERL}.away")

    outcome = dispatch.run("docker-29", **AT_START)

    sh(node, f"mv {PERL}.away {PERL}")
    assert outcome.code == 1
    assert "perl-base is not installed on the node" in outcome.text
    assert "Nothing was changed." in outcome.text


@pytest.mark.parametrize("kind", NODES)
def test_a_judge_that_hangs_ends_by_its_own_alarm_and_dockerd_answers_meanwhile(
    guarded: dict[str, LabNode], kind: str
) -> None:
    """Nobody writes into the pipe, so whoever opens it to read waits: here for less than 60 s."""
    node = guarded[kind]
    limit(node, 60, LIMIT_S)
    sh(node, f"docker create --name hangs -v slow:/data {IMAGE} sleep {LONG}; mkfifo {OPTIONS}")
    sh(node, "(docker start hangs > /root/hangs 2>&1; echo $? >> /root/hangs) > /dev/null 2>&1 &")
    began_s = time.monotonic()
    until_judged(node)

    listed = sh(node, f"timeout {ANSWER_S} docker ps --format '{{{{.Names}}}}'")
    start(node, "meanwhile")

    assert "steady" in listed
    assert kernel(node, "meanwhile") == kernel(node, "steady")
    said = wait_for_end(node, began_s)
    assert f"no decision within {LIMIT_S} s, so this container was not started" in said
    assert said.splitlines()[-1] == "1"
    assert outside_sandboxes(node, LONG) == []
    limit(node, LIMIT_S, 60)
    remove_containers(node, "^/(hangs|meanwhile)$")
    sh(node, f"rm {OPTIONS}; docker volume rm slow")


# A directory for a container that is refused, then files of an image for one that is never started.
FORGING = f"""
permits=/run/pyinfra-gvisor/permits
docker run --rm -v $permits:/x {IMAGE} true > /dev/null 2>&1
id=$(docker create --name forger {IMAGE} sleep {LONG})
tree=$(mktemp -d)
mkdir -m 700 $tree/permits
(umask 077 && echo runc > $tree/permits/$id)
tar -C $tree -c . | docker import - forged:1 > /dev/null
rm -r $tree
docker volume create -o type=none -o o=bind -o device=$permits forged > /dev/null
docker create --name carrier -v forged:/permits forged:1 true > /dev/null
stat -c %a:%u $permits $permits/$id
docker start forger 2>&1
"""


def test_a_permit_that_docker_copied_for_a_container_is_none(guarded: dict[str, LabNode]) -> None:
    """An image chooses owner and mode of its files, and dockerd copies them before it asks."""
    node = guarded["docker-29"]

    said = node.exec("sh", "-c", FORGING).stdout.splitlines()

    remove_containers(node, "^/(forger|carrier)$")
    sh(node, "docker volume rm forged; docker rmi forged:1; rm -r /run/pyinfra-gvisor/permits")
    assert said[:2] == ["700:0", "600:0"]
    assert "was not written by pyinfra-gvisor, find out who did" in said[2]
    assert outside_sandboxes(node, LONG) == []


def limit(node: LabNode, from_s: int, to_s: int) -> None:
    """Change how long the judge of the default runtime may take."""
    path = files(node)["dispatcher"]
    sh(
        node,
        f"grep -qx limit_s={from_s} {path} && sed -i 's/^limit_s={from_s}$/limit_s={to_s}/' {path}",
    )


def until_judged(node: LabNode) -> None:
    """Wait until the resident judge decides."""
    parent = sh(node, f"systemctl show -p MainPID --value {UNIT}").strip()
    sh(node, f"timeout 20 sh -c 'until pgrep -P {parent} > /dev/null; do sleep 0.1; done'")


def wait_for_end(node: LabNode, began_s: float) -> str:
    """Return what Docker said to a start, with its exit code in the last line."""
    sh(node, "timeout 30 sh -c 'until grep -qx \"[0-9]*\" /root/hangs; do sleep 0.1; done'")
    assert time.monotonic() - began_s > LIMIT_S - 1
    return sh(node, "cat /root/hangs; rm /root/hangs")


# What is broken on each node when it goes back: by a rollback, and by a removal.
BACK = {
    "docker-20": "judge-missing",
    "docker-29": "dispatcher-damaged",
}
GONE = dict(zip(BACK, reversed(BACK.values()), strict=True))


def damage(nodes: dict[str, LabNode], faults: dict[str, str]) -> None:
    """Break something on each node."""
    for kind, fault in faults.items():
        sh(nodes[kind], FAULTS[fault].broken.format(**files(nodes[kind])))


def test_rollback_works_whatever_is_broken(guarded: dict[str, LabNode], dispatch: Ground) -> None:
    dispatch.deploy(*NODES)
    dispatch.deploy(*NODES, **AT_START)
    damage(guarded, BACK)

    back = dispatch.run(*NODES, deploy="deploys/rollback.py", **AT_START)

    assert back.code == 0, back.text
    for node in guarded.values():
        assert docker_info(node)["DefaultRuntime"] == "runc"
        start(node, "rolled-back")
        assert not in_sandbox(node, "rolled-back")
    at_once(lambda kind: remove_containers(guarded[kind], "^/rolled-back$"), NODES)
    dispatch.deploy(*NODES, **AT_START)


def test_a_removal_works_whatever_is_broken_and_restores_the_original(
    guarded: dict[str, LabNode], dispatch: Ground
) -> None:
    damage(guarded, GONE)

    refused = dispatch.run(*NODES, deploy="deploys/remove.py")
    at_once(lambda kind: remove_containers(guarded[kind], "^/steady$"), NODES)
    dispatch.deploy(*NODES, deploy="deploys/remove.py")

    assert refused.code == 1
    told = refused.stderr.count("gvisordefault (these need it to start: steady)")
    assert told == len(NODES) + 1, "for each, and once for all in the summary"
    for node in guarded.values():
        assert daemon_json(node) == ORIGINAL
        assert no_leftovers(node) == ""
