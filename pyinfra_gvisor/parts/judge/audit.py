"""Audit the resident judge: does it answer, and are its units as declared?"""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.parts.judge.files import NAME
from pyinfra_gvisor.parts.judge.plan import declared_files
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.policy.findings import Severity


def _not_resident(host: Audited) -> Iterator[Observation]:
    found = host.node.part(JudgeState)
    if not declared_files(host.expected) or host.node.init != "systemd":
        return
    down = found.down()
    if down:
        yield Observation(NAME, " and ".join(down))


def _not_declared(host: Audited) -> Iterator[Observation]:
    found = host.node.part(JudgeState)
    files = declared_files(host.expected)
    if not files or not found.there:
        return
    for path, what in found.other(files):
        yield Observation(path, what)
    if not found.enabled:
        yield Observation(
            NAME, "its socket is not enabled: the judge will not be resident after a reboot"
        )


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "judge-not-resident",
        Severity.LOW,
        "The judge is not resident: wrappers run it themselves, so containers start more slowly",
        "Read journalctl -u pyinfra-gvisor-judge on the node, then run pyinfra-gvisor apply",
        _not_resident,
    ),
    Rule(
        "judge-not-as-declared",
        Severity.MEDIUM,
        "The units of the resident judge are not as installed",
        "Find out who changed them, then run pyinfra-gvisor apply",
        _not_declared,
    ),
)
