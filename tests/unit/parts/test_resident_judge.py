"""The resident judge: its units, when they change, what an audit says, and what a node tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pyinfra_gvisor.node import Node, parse_node
from pyinfra_gvisor.parts.judge.files import (
    NAME,
    SERVICE,
    SOCKET,
    judge_files,
    service_text,
    socket_text,
)
from pyinfra_gvisor.parts.judge.plan import WITHOUT_SYSTEMD, plan_judge
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.policy.findings import Severity
from tests.table import table
from tests.unit.answers import answer
from tests.unit.audit.audited import audited, found
from tests.unit.parts.judge_answers import PROGRAM, told

SEALED: dict[str, Any] = {"gvisor_seal": {}}
ANSWERS = "have the judge answer at /run/pyinfra-gvisor/judge.sock"
# What makes a mount namespace: exec_needs_mount_namespace() in systemd's src/core/execute.c.
NAMESPACES = re.compile(
    r"^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|ExecPaths|NoExec|Bind|Root|Mount|Temporary|"
    r"Extension|Dynamic|LoadCredential|SetCredential|LogNamespace|IPCNamespace|ProcSubset)",
    re.MULTILINE,
)


def node_with(lines: Sequence[str] = (), **given: Any) -> Node:
    """A node that tells this of the judge."""
    return parse_node([*lines, *answer(**given)])


def test_the_program_sees_every_mount_and_process_as_dockerd_does() -> None:
    text = service_text(PROGRAM)

    assert NAMESPACES.search(text) is None
    assert NAMESPACES.search(f"{text}PrivateTmp=yes\n")
    assert f"\nExecStart=/usr/bin/python3 -I -S -B -X utf8 {PROGRAM} serve\n" in text


def test_a_program_that_ends_or_hangs_is_replaced_however_often() -> None:
    lines = service_text(PROGRAM).splitlines()

    assert {"Restart=always", "StartLimitIntervalSec=0", "WatchdogSignal=SIGKILL"} <= {*lines}
    assert {"Before=docker.service", "TriggerLimitIntervalSec=0"} <= {*socket_text().splitlines()}


FILES = judge_files(PROGRAM)
WRITES = tuple(f"write {item.path}" for item in FILES)
GONE = PartPlan("remove", ("stop the resident judge",))


def applied(*lines: str) -> PartPlan:
    """The plan that says this, and has the judge resident."""
    return PartPlan("apply", (*lines, ANSWERS), files=FILES, settings={"program": PROGRAM})


@table(
    "lines, plan",
    {
        "not-there": ([], applied(*WRITES)),
        "as-declared": (told(), PartPlan()),
        "another-program": (told(f"{PROGRAM}0"), applied(f"write {SERVICE}")),
        "service-down": (told(service="failed"), applied()),
        "socket-down": (told(socket="inactive"), applied()),
        "not-enabled": (told(enabled=False), applied()),
    },
)
def test_a_declared_one_gets_what_it_lacks(lines: list[str], plan: PartPlan) -> None:
    assert plan_judge(node_with(lines), PROGRAM) == plan


@table("lines, plan", {"there": (told(), GONE), "not-there": ([], PartPlan())})
def test_one_that_is_not_declared_goes(lines: list[str], plan: PartPlan) -> None:
    assert plan_judge(node_with(lines), None) == plan


def test_a_node_without_systemd_is_only_warned() -> None:
    plan = plan_judge(node_with(init="lab-init"), PROGRAM)

    assert plan == PartPlan(warnings=(WITHOUT_SYSTEMD,))


def looked(lines: Sequence[str], settings: Any = None, **given: str) -> dict[str, Any]:
    """What an audit finds of the resident judge, by ``rule subject``."""
    report = audited(*lines, settings=settings or SEALED, answer=answer(**given))
    rules = ("judge-not-resident", "judge-not-as-declared")
    return {key: item for key, item in found(report).items() if item.id in rules}


@table(
    "lines, settings, given",
    {
        "as-declared": (told(), SEALED, {}),
        "none-is-declared": ([], {"gvisor_runtimes": {"runsc": {}}}, {}),
        "no-systemd": ([], SEALED, {"init": "lab-init"}),
    },
)
def test_a_node_as_declared_is_clean(lines: list[str], settings: Any, given: Any) -> None:
    assert looked(lines, settings, **given) == {}


@table(
    "lines, evidence",
    {
        "program": (told(service="failed"), "its service is failed"),
        "nothing-there": ([], "its socket is missing and its service is missing"),
    },
)
def test_one_that_is_not_resident_is_a_finding_of_low_severity(
    lines: list[str], evidence: str
) -> None:
    finding = looked(lines)[f"judge-not-resident {NAME}"]

    assert (finding.severity, finding.evidence) == (Severity.LOW, evidence)


AT_BOOT = "its socket is not enabled: the judge will not be resident after a reboot"


@table(
    "lines, subject, evidence",
    {
        "changed": (told(other=SERVICE), SERVICE, "the file was changed"),
        "missing": (told(without=SOCKET), SOCKET, "the file is missing"),
        "not-enabled": (told(enabled=False), NAME, AT_BOOT),
    },
)
def test_units_other_than_installed_are_found(
    lines: list[str], subject: str, evidence: str
) -> None:
    findings = looked(lines)

    assert {key: item.evidence for key, item in findings.items()} == {
        f"judge-not-as-declared {subject}": evidence
    }


def test_what_a_node_tells_is_read() -> None:
    state = node_with(told(service="failed")).part(JudgeState)

    assert (state.socket, state.service, state.enabled) == ("active", "failed", True)
    assert {*state.files} == {SERVICE, SOCKET}
