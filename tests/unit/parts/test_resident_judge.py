"""The resident judge: its files, when they change, what an audit says, and who may be refused."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import drop_in
from pyinfra_gvisor.daemon_json.shared_lists import LINKS as LINKS_PROGRAM
from pyinfra_gvisor.node import DAEMON_JSON, Node, parse_node
from pyinfra_gvisor.parts.every import PARTS
from pyinfra_gvisor.parts.judge.files import (
    NAME,
    PERMIT,
    SERVE,
    SERVICE,
    SOCKET,
    judge_files,
    service_text,
    socket_text,
)
from pyinfra_gvisor.parts.judge.plan import NOT_RESIDENT, plan_judge
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.policy.findings import Severity
from tests.table import table
from tests.unit.answers import Running, answer
from tests.unit.audit.audited import audited, found
from tests.unit.parts.judge_answers import DOCKER, PROGRAM, told
from tests.unit.planning.test_preflight import settings_of

ASKED: dict[str, Any] = {"gvisor_default": "sandbox"}
SEALED: dict[str, Any] = {"gvisor_seal": {}}
FOLLOW = "let containers follow links in volumes, but no program of the node"
AT, AT_BOTH = (
    f"start the judge at /run/pyinfra-gvisor/judge.sock{more}"
    for more in ("", " and /run/docker/plugins/pyinfra-gvisor.sock")
)
DROP_IN = drop_in(DOCKER.unit, NAME)
IS_ASKED = {"daemon_json": '{"authorization-plugins": ["pyinfra-gvisor"]}'}
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
    text = service_text()

    assert NAMESPACES.search(text) is None
    assert NAMESPACES.search(f"{text}PrivateTmp=yes\n")


def test_a_program_that_ends_or_hangs_is_replaced_however_often() -> None:
    sockets = socket_text(DOCKER.unit).splitlines()

    assert {"Restart=always", "StartLimitIntervalSec=0", "WatchdogSignal=SIGKILL"} <= {
        *service_text().splitlines()
    }
    assert {f"Before={DOCKER.unit}", "TriggerLimitIntervalSec=0", "StartLimitIntervalSec=0"} <= {
        *sockets
    }
    assert [line for line in sockets if line.startswith("Listen")] == [
        "ListenStream=/run/pyinfra-gvisor/judge.sock",
        "ListenStream=/run/docker/plugins/pyinfra-gvisor.sock",
    ]


def applied(*lines: str, door: bool = True) -> PartPlan:
    """The plan that says this, and has the judge resident."""
    files = judge_files(PROGRAM, DOCKER if door else None)
    address = "/run/docker/plugins/pyinfra-gvisor.sock" if door else ""
    given = {"program": PROGRAM, "address": address}
    return PartPlan("apply", (*lines, AT_BOTH if door else AT), files=files, settings=given)


WRITES = tuple(f"write {item.path}" for item in judge_files(PROGRAM, DOCKER))


@table(
    "lines, plan",
    not_there=([], applied(*WRITES, FOLLOW)),
    as_declared=(told(), PartPlan()),
    not_asked=(
        told(asked=False),
        applied(*(f"write {path}" for path in (SOCKET, LINKS_PROGRAM, DROP_IN)), FOLLOW),
    ),
    another_program=(
        told(f"{PROGRAM}0"),
        applied(*(f"write {path}" for path in (PERMIT, SERVE, LINKS_PROGRAM))),
    ),
    no_addition=(told(without=DROP_IN), applied(f"write {DROP_IN}")),
    service_down=(told(service="failed"), applied()),
    socket_down=(told(socket="inactive"), applied()),
    nobody_answers=(told(answers=False), applied()),
    links_are_followed=(told(links="wanted"), applied(FOLLOW)),
    links_are_needed=(told(links="followed old-db old-app"), PartPlan()),
    links_in_report=(told(links="unwanted"), PartPlan()),
    not_enabled=(told(enabled=False), applied()),
)
def test_a_declared_one_gets_what_it_lacks(lines: list[str], plan: PartPlan) -> None:
    assert plan_judge(node_with(lines), PROGRAM, door=True) == plan


NO_MORE = f"write {SOCKET}", "let dockerd start without the judge"


@table(
    "lines, door, plan",
    not_there=([], None, applied(*WRITES[:-2], door=False)),
    asked_and_not_declared=(told(), False, applied(*NO_MORE, door=False)),
    asked_for_now=(told(service="failed"), None, PartPlan()),
    not_asked=(told(asked=False), False, PartPlan()),
)
def test_one_that_dockerd_is_not_to_ask_is_asked_until_daemon_json_is_written(
    lines: list[str], door: bool | None, plan: PartPlan
) -> None:
    assert plan_judge(node_with(lines), PROGRAM, door=door) == plan


@table(
    "lines, plan",
    there=(told(), PartPlan("remove", ("stop the judge's service",))),
    not_there=([], PartPlan()),
)
def test_one_that_is_not_declared_goes(lines: list[str], plan: PartPlan) -> None:
    assert plan_judge(node_with(lines), None, door=False) == plan


@table(
    "given, what",
    systemd=({"init": "lab-init"}, "gvisor_default needs systemd"),
    python=({"python": ""}, "gvisor_default needs Python 3.10 or later"),
    asyncio=({"python": "3.11 json"}, "gvisor_default needs Python's asyncio"),
    kernel=({"uname": "5.9.16 x86_64"}, "gvisor_default needs Linux 5.10"),
    linked=({"linked_volume": "/var/lib/docker/volumes"}, "would not find this volume"),
)
def test_a_node_whose_docker_cannot_ask_is_refused(given: dict[str, str], what: str) -> None:
    with pytest.raises(Problem, match=what):
        plan_judge(node_with(**given), PROGRAM, door=True)


@table("given", systemd={"init": "lab-init"}, asyncio={"python": "3.11 dataclasses json"})
def test_without_that_a_node_that_cannot_have_it_is_only_warned(given: dict[str, str]) -> None:
    assert plan_judge(node_with(**given), PROGRAM, door=False) == PartPlan(warnings=(NOT_RESIDENT,))


@table("named, exceeds", names_it=(True, True), does_not=(False, False))
def test_a_daemon_json_that_names_it_is_more_than_is_declared(named: bool, exceeds: bool) -> None:
    node = node_with(told(asked=False), **(IS_ASKED if named else {}))
    (part,) = (part for part in PARTS if part.name == "judge")

    assert part.exceeds(node, settings_of(**SEALED)) is exceeds
    assert not part.exceeds(node, settings_of(**ASKED))
    assert (plan_judge(node, f"{PROGRAM}0", door=None) == PartPlan()) is exceeds


LINKS = "dockerd follows symbolic links in volumes"
REPORTS = {"gvisor_door": "report"}
RULES = (
    *("judge-not-resident", "judge-not-as-declared", "door-open", "links-followed"),
    "permit-given",
)


def looked(lines: Sequence[str], settings: Any, **given: str) -> dict[str, Any]:
    """What an audit finds of the resident judge, by ``rule subject``."""
    report = audited(*lines, settings=settings, answer=answer(**given))
    return {key: item for key, item in found(report).items() if item.id in RULES}


@table(
    "lines, settings, given",
    asked=(told(), ASKED, IS_ASKED),
    not_asked=(told(asked=False), SEALED, {}),
    none_is_declared=([], {"gvisor_runtimes": {"runsc": {}}}, {}),
    no_systemd=([], SEALED, {"init": "lab-init"}),
)
def test_a_node_as_declared_is_clean(lines: list[str], settings: Any, given: Any) -> None:
    assert looked(lines, settings, **given) == {}


@table(
    "lines, evidence",
    program=(told(asked=False, service="failed"), "its service is failed"),
    nothing_there=([], "its socket is missing and its service is missing"),
)
def test_one_that_only_wrappers_ask_and_is_not_resident_is_a_finding_of_low_severity(
    lines: list[str], evidence: str
) -> None:
    finding = looked(lines, SEALED)[f"judge-not-resident {NAME}"]

    assert (finding.severity, finding.evidence) == (Severity.LOW, evidence)


@table(
    "lines, settings, severity, evidence",
    service=(told(service="failed"), {}, Severity.HIGH, "its service is failed"),
    silent=(told(answers=False), {}, Severity.HIGH, "the judge does not answer dockerd"),
    links=(told(links="wanted"), {}, Severity.HIGH, LINKS),
    report=(told(), REPORTS, Severity.MEDIUM, 'gvisor_door is "report": nothing is refused'),
)
def test_one_that_does_not_answer_dockerd_leaves_the_door_open(
    lines: list[str], settings: dict[str, Any], severity: Severity, evidence: str
) -> None:
    findings = looked(lines, {**ASKED, **settings}, **IS_ASKED)

    finding = findings.pop(f"door-open {NAME}")
    assert (finding.severity, finding.evidence) == (severity, evidence)
    assert findings == {}


def test_links_that_old_containers_need_are_told_of_each() -> None:
    findings = looked(told(links="followed db app"), ASKED, **IS_ASKED)

    assert findings.keys() == {"links-followed db", "links-followed app"}
    assert {item.severity for item in findings.values()} == {Severity.MEDIUM}


def test_one_that_nobody_asks_is_found() -> None:
    finding = looked(told(), ASKED, daemon_json="{}")[f"door-open {DAEMON_JSON}"]

    assert finding.severity is Severity.HIGH
    assert finding.evidence == "authorization-plugins does not name pyinfra-gvisor"


AT_BOOT = "its socket is not enabled: it will not listen after a reboot"


@table(
    "lines, subject, evidence",
    changed=(told(other=SERVICE), SERVICE, "the file was changed"),
    missing=(told(without=SOCKET), SOCKET, "the file is missing"),
    not_enabled=(told(enabled=False), NAME, AT_BOOT),
)
def test_files_other_than_installed_are_found(
    lines: list[str], subject: str, evidence: str
) -> None:
    findings = looked(lines, ASKED, **IS_ASKED)

    assert {key: item.evidence for key, item in findings.items()} == {
        f"judge-not-as-declared {subject}": evidence
    }


def test_what_a_node_tells_is_read() -> None:
    state = node_with(told(service="failed")).part(JudgeState)

    assert (state.socket, state.service, state.enabled) == ("active", "failed", True)
    assert (state.answers, state.is_asked) == (True, True)
    assert {SERVICE, SOCKET, DROP_IN} < {*state.files}


def test_permits_are_named_with_their_containers_until_a_reboot() -> None:
    about = {"reason": "a look at the disk", "by": "eve", "command": "docker run"}
    text, shop = base64.b64encode(json.dumps({"about": about}).encode()).decode(), Running("shop")
    lines = [
        f"judge permit {'a' * 64}.taken {text}",
        f"judge permit {hashlib.sha256(b'shop').hexdigest()}.container {text}",
        f"judge permit {'c' * 64}.container {text}",
        f"judge permit {'d' * 64}.taken bm8=",
    ]

    report = audited(*told(), *lines, *shop.lines(), settings=ASKED, answer=answer(**IS_ASKED))

    said = [(item.subject, item.evidence) for item in report.findings if item.id == "permit-given"]
    assert sorted(said) == [
        (NAME, "eve: a look at the disk: docker run"),
        (NAME, "its file is damaged"),
        ("shop", "eve: a look at the disk: docker run"),
    ]
