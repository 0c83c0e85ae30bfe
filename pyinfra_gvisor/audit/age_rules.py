"""Rules about old versions on a node, and about their published vulnerabilities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import (
    Program,
    is_distributions,
    known,
    newer_than,
    open_to,
)

# Newer releases that make a release old: low, then medium. gVisor has about one release a week.
FEW_NEWER, MANY_NEWER = 8, 20
STALE_DAYS = 90
_RUNC = ("runc", "io.containerd.runc.v2")
# The name that dockerd uses, and the name that people use.
NAMES: dict[Program, tuple[str, str]] = {
    "docker": ("Engine", "Docker"),
    "containerd": ("containerd", "containerd"),
    "runc": ("runc", "runc"),
}


def _versions(host: Audited) -> Iterator[tuple[Program, str, str | None]]:
    """
    Yield each program with its version, and its commit if dockerd reports one.

    Where dockerd does not list its components, the version comes from ``docker info``, which has
    only a commit for some of them. If runc is not the default runtime, runc itself was asked.
    """
    info, told = host.node.info, host.observed.components
    if info is None:
        return
    spare: dict[Program, str] = {
        "docker": info.server_version,
        "containerd": info.containerd,
        "runc": info.runc if info.default_runtime in _RUNC else "",
    }
    for program, (name, _) in NAMES.items():
        if program == "runc" and host.node.runc_version:
            yield program, host.node.runc_version, None
        elif name in told:
            yield program, told[name].version, told[name].commit
        else:
            yield program, spare[program], None


def _vulnerable(host: Audited) -> Iterator[Observation]:
    for program, version, commit in _versions(host):
        found = open_to(program, version)
        if not found:
            continue
        worst = max((Severity(item.severity) for item in found), key=lambda item: item.rank)
        evidence = f"affected by {', '.join(item.described for item in found)}"
        if is_distributions(version, commit):
            evidence += "; a distribution package, which may contain some of these fixes"
            worst = min(worst, Severity.MEDIUM, key=lambda item: item.rank)
        yield Observation(f"{NAMES[program][1]} {cut(version)}", evidence, worst)


def _release_old(host: Audited) -> Iterator[Observation]:
    if not host.settings.runtimes:
        return
    try:
        newer = newer_than(parse_release(host.settings.release))
    except Problem:
        return
    if newer >= FEW_NEWER:
        last = known().gvisor_releases[0]
        seen = f"{newer} newer releases were known on {known().as_of}; the latest is {last}"
        severity = Severity.MEDIUM if newer >= MANY_NEWER else Severity.LOW
        yield Observation(f"runsc {host.settings.release}", seen, severity)


def _stale(on: date) -> Iterator[Observation]:
    days = (on - known().as_of).days
    if days >= STALE_DAYS:
        yield Observation("pyinfra-gvisor", f"the list is of {known().as_of}, {days} days old")


def _writers(host: Audited) -> Iterator[Observation]:
    for package in host.node.writers:
        yield Observation(
            f"package {cut(package)}", "its scripts or its conffiles name daemon.json"
        )


AGE_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "engine-vulnerable",
        Severity.MEDIUM,
        "This version has published vulnerabilities",
        "Upgrade the program. For a distribution package, first read in its changelog which of "
        "them are fixed",
        _vulnerable,
    ),
    Rule(
        "release-old",
        Severity.LOW,
        "The declared gVisor release is old",
        "List newer releases with pyinfra-gvisor releases check --online. Try one on a single "
        "node, then set gvisor_release",
        _release_old,
    ),
    Rule(
        "package-writes-daemon-json",
        Severity.MEDIUM,
        "A package may write daemon.json when it is installed or upgraded",
        "Remove the package if nothing needs it, or keep its version with apt-mark hold. The next "
        "audit reports what it changed in daemon.json",
        _writers,
    ),
)

# Findings about pyinfra-gvisor itself, once a run. The subject is the day of the run, in UTC.
PACKAGE_RULES: tuple[Rule[date], ...] = (
    Rule(
        "known-old",
        Severity.LOW,
        "pyinfra-gvisor's list of releases and vulnerabilities is old",
        "Upgrade pyinfra-gvisor on the controller, or waive known-old with a reason",
        _stale,
    ),
)
