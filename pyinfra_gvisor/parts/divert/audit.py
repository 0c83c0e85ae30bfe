"""Audit the place of runc: do containers that ask for runc, and builds, come to the dispatcher?"""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.dispatch.programs import ASIDE
from pyinfra_gvisor.parts.divert.files import NAME, UNIT, divert_files
from pyinfra_gvisor.parts.divert.plan import declared_divert, declared_places
from pyinfra_gvisor.parts.divert.state import DivertState
from pyinfra_gvisor.policy.findings import Severity


def _open(host: Audited) -> Iterator[Observation]:
    found = host.node.part(DivertState)
    if declared_divert(host.expected, host.node) is None:
        return
    if not found.places:
        yield Observation("runc", "runc is not on the PATH of dockerd")
    for place in found.places:
        if not found.has_program(place):
            yield Observation(place, _why(found, place))
    if found.command:
        yield Observation("builds", f"dockerd's environment names {found.command} for builds")


def _why(found: DivertState, place: str) -> str:
    if place not in found.modes:
        return "our program is missing, so no container starts under this name"
    if place not in found.small:
        return "runc itself is there instead of our program"
    if not found.is_executable(place + ASIDE):
        return f"{place}{ASIDE}, the runc of this node, is missing or not executable"
    return "our program was changed or is not executable"


def _files(host: Audited) -> Iterator[Observation]:
    found, wanted = host.node.part(DivertState), declared_divert(host.expected, host.node)
    if wanted is None:
        return
    places = declared_places(found)
    for item in divert_files(places, wanted.dispatcher, retired=False, dockerd=wanted.dockerd):
        if item.path not in found.files:
            yield Observation(item.path, "the file is missing")
        elif not item.matches(found.files[item.path]):
            yield Observation(item.path, "its content, mode or owner was changed")
    if not found.enabled and UNIT in found.files:
        yield Observation(NAME, "the unit is not enabled")
    for place in found.owned:
        if place not in found.diverted:
            yield Observation(place, "dpkg has no diversion: the next upgrade of runc undoes it")


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "runc-not-taken",
        Severity.CRITICAL,
        "The policy of this node does not apply to builds and to containers that ask for runc",
        "Run pyinfra-gvisor apply, then restart containers that run directly on the host kernel",
        _open,
    ),
    Rule(
        "runc-not-kept",
        Severity.HIGH,
        "Our program that replaces runc was changed, or an upgrade or a reboot may remove it",
        "Run pyinfra-gvisor apply",
        _files,
    ),
)
