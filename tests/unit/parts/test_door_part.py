"""The door as a part: its files, when they change, what an audit says, and who may be refused."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import DAEMON_JSON, parse_node
from pyinfra_gvisor.parts.door.files import NAME, SERVICE, SOCKET, drop_in, service_text
from pyinfra_gvisor.parts.door.plan import plan_door
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.policy.findings import Severity
from tests.table import table
from tests.unit.answers import answer
from tests.unit.audit.audited import audited, found
from tests.unit.parts.door_answers import FILES, told
from tests.unit.parts.judge_answers import PROGRAM
from tests.unit.parts.test_resident_judge import NAMESPACES

DECLARED: dict[str, Any] = {"gvisor_default": "sandbox", "gvisor_door": "refuse"}
ANSWERS = "have the door answer at /run/docker/plugins/pyinfra-gvisor.sock"
WRITES = tuple(f"write {item.path}" for item in FILES)
GONE = PartPlan("remove", ("close the door",))
PYTHON = "3.11 asyncio json"


def applied(*lines: str) -> PartPlan:
    """The plan that says this, and has the door answer."""
    return PartPlan("apply", (*lines, ANSWERS), files=FILES)


@table(
    "lines, plan",
    {
        "not-there": ([], applied(*WRITES)),
        "as-declared": (told(), PartPlan()),
        "changed": (told(other=SERVICE), applied(f"write {SERVICE}")),
        "no-addition": (
            told(without=drop_in("docker.service")),
            applied(f"write {drop_in('docker.service')}"),
        ),
        "service-down": (told(service="failed"), applied()),
        "nobody-answers": (told(answers=False), applied()),
        "not-enabled": (told(enabled=False), applied()),
    },
)
def test_a_declared_one_gets_what_it_lacks(lines: list[str], plan: PartPlan) -> None:
    assert plan_door(parse_node([*lines, *answer()]), PROGRAM) == plan


@table("lines, plan", {"there": (told(), GONE), "not-there": ([], PartPlan())})
def test_one_that_is_not_declared_goes(lines: list[str], plan: PartPlan) -> None:
    assert plan_door(parse_node([*lines, *answer()]), None) == plan


@table(
    "given, what",
    {
        "systemd": ({"init": "lab-init"}, "gvisor_door needs systemd"),
        "python": ({"python": ""}, "gvisor_door needs Python 3.10 or later"),
        "asyncio": ({"python": "3.11 json"}, "gvisor_door needs Python's asyncio"),
    },
)
def test_a_node_that_cannot_have_one_is_refused(given: dict[str, str], what: str) -> None:
    with pytest.raises(Problem, match=what):
        plan_door(parse_node(answer(**given)), PROGRAM)


def test_the_program_sees_every_mount_and_process_as_dockerd_does() -> None:
    assert NAMESPACES.search(service_text()) is None


def looked(lines: list[str], **settings: Any) -> dict[str, Any]:
    """What an audit finds of the door, by ``rule subject``."""
    named = answer(daemon_json='{"authorization-plugins": ["pyinfra-gvisor"]}')
    report = audited(*lines, settings={**DECLARED, **settings}, answer=named)
    rules = ("door-open", "door-not-as-declared")
    return {key: item for key, item in found(report).items() if item.id in rules}


@table(
    "lines, settings, expected",
    {
        "service": (told(service="failed"), {}, {f"door-open {NAME}": "its service is failed"}),
        "silent": (
            told(answers=False),
            {},
            {f"door-open {NAME}": "nobody answers at its socket"},
        ),
        "report": (told(), {"gvisor_door": "report"}, {f"door-open {NAME}": "it only reports"}),
        "changed": (
            told(other=SERVICE),
            {},
            {f"door-not-as-declared {SERVICE}": "the file was changed"},
        ),
        "missing": (
            told(without=SOCKET),
            {},
            {f"door-not-as-declared {SOCKET}": "the file is missing"},
        ),
    },
)
def test_a_door_that_is_not_as_declared_is_found(
    lines: list[str], settings: dict[str, Any], expected: dict[str, str]
) -> None:
    assert {key: item.evidence for key, item in looked(lines, **settings).items()} == expected


def test_a_door_that_nobody_asks_is_found() -> None:
    report = audited(*told(), settings=DECLARED, answer=answer(daemon_json="{}"))
    finding = found(report)[f"door-open {DAEMON_JSON}"]

    assert finding.severity is Severity.HIGH
    assert finding.evidence == "authorization-plugins does not name pyinfra-gvisor"
