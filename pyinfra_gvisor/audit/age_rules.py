"""How old what runs on a node is, and what was published against it since."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.errors import Problem, cut
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import (
    Program,
    behind,
    is_distributions,
    known,
    open_to,
)

# gVisor has about one release a week.
FEW_BEHIND, MANY_BEHIND = 8, 20
STALE_DAYS, OLD_DAYS = 90, 180
NAMES: dict[Program, str] = {"docker": "Docker", "containerd": "containerd", "runc": "runc"}


def _versions(host: Audited) -> dict[Program, str]:
    """As each says it; of a program that was built from a commit ``docker info`` knows no more."""
    info, told = host.node.info, host.observed.components
    if info is None:
        return {}
    return {
        "docker": info.server_version,
        "containerd": told.get("containerd") or info.containerd,
        "runc": host.node.runc_version or told.get("runc") or info.runc,
    }


def _vulnerable(host: Audited) -> Iterator[Seen]:
    for program, version in _versions(host).items():
        found = open_to(program, version)
        if not found:
            continue
        worst = max((Severity(item.severity) for item in found), key=lambda item: item.rank)
        evidence = f"open to {', '.join(item.mended for item in found)}"
        if is_distributions(version):
            evidence += "; a distribution may have mended some of them in this version"
            worst = min(worst, Severity.MEDIUM, key=lambda item: item.rank)
        yield Seen(f"{NAMES[program]} {cut(version)}", evidence, worst)


def _release_old(host: Audited) -> Iterator[Seen]:
    try:
        newer = behind(parse_release(host.settings.release))
    except Problem:
        return
    if newer >= FEW_BEHIND:
        last = known().gvisor_releases[0]
        seen = f"{newer} of those known on {known().as_of} are newer, the last of them {last}"
        severity = Severity.MEDIUM if newer >= MANY_BEHIND else Severity.LOW
        yield Seen(f"runsc {host.settings.release}", seen, severity)


def _stale(host: Audited) -> Iterator[Seen]:
    days = (host.today - known().as_of).days
    if days >= STALE_DAYS:
        severity = Severity.MEDIUM if days >= OLD_DAYS else Severity.LOW
        yield Seen("pyinfra-gvisor", f"looked for on {known().as_of}, {days} days ago", severity)


def _writers(host: Audited) -> Iterator[Seen]:
    for package in host.node.writers:
        yield Seen(f"package {cut(package)}", "its scripts, or its list of conffiles, name it")


AGE_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "engine-vulnerable",
        Severity.MEDIUM,
        "something was published against this version",
        "upgrade it; of a distribution's package see in its changelog what it has mended",
        _vulnerable,
    ),
    Rule(
        "release-old",
        Severity.LOW,
        "the declared release of gVisor is old",
        "python -m pyinfra_gvisor.releases check --online names newer ones; try one on a node, "
        "then set gvisor_release",
        _release_old,
    ),
    Rule(
        "known-old",
        Severity.LOW,
        "it was long ago that newer releases and what was published against them were looked for",
        "upgrade pyinfra-gvisor where you deploy from",
        _stale,
    ),
    Rule(
        "package-writes-daemon-json",
        Severity.MEDIUM,
        "a package writes daemon.json by itself when it is installed or upgraded",
        "remove it if nothing needs it, or apt-mark hold it; what it has changed, the next audit "
        "and run tell",
        _writers,
    ),
)
