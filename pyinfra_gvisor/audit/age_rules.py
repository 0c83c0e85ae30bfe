"""How old what runs on a node is, and what was published against it since."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.errors import Problem, cut
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import (
    Program,
    is_distributions,
    known,
    newer_than,
    open_to,
)

# gVisor has about one release a week.
FEW_BEHIND, MANY_BEHIND = 8, 20
STALE_DAYS = 90
_RUNC = ("runc", "io.containerd.runc.v2")
# As dockerd calls them, and as people do.
NAMES: dict[Program, tuple[str, str]] = {
    "docker": ("Engine", "Docker"),
    "containerd": ("containerd", "containerd"),
    "runc": ("runc", "runc"),
}


def _versions(host: Audited) -> Iterator[tuple[Program, str, str | None]]:
    """
    Each as it says it, and of which commit it is.

    Where dockerd does not tell its components, ``docker info`` has its own version, and of the
    others a version or a commit. runc is asked itself where another runtime is the default.
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


def _vulnerable(host: Audited) -> Iterator[Seen]:
    for program, version, commit in _versions(host):
        found = open_to(program, version)
        if not found:
            continue
        worst = max((Severity(item.severity) for item in found), key=lambda item: item.rank)
        evidence = f"open to {', '.join(item.mended for item in found)}"
        if is_distributions(version, commit):
            evidence += "; a distribution may have mended some of them in this version"
            worst = min(worst, Severity.MEDIUM, key=lambda item: item.rank)
        yield Seen(f"{NAMES[program][1]} {cut(version)}", evidence, worst)


def _release_old(host: Audited) -> Iterator[Seen]:
    if not host.settings.runtimes:
        return
    try:
        newer = newer_than(parse_release(host.settings.release))
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
        yield Seen("pyinfra-gvisor", f"looked for on {known().as_of}, {days} days ago")


def _writers(host: Audited) -> Iterator[Seen]:
    for package in host.node.writers:
        yield Seen(f"package {cut(package)}", "its scripts or its list of conffiles name that file")


AGE_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "engine-vulnerable",
        Severity.MEDIUM,
        "this version has published vulnerabilities",
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
        "this package's list of releases and vulnerabilities is old",
        "upgrade pyinfra-gvisor where you deploy from, or waive known-old with a reason",
        _stale,
    ),
    Rule(
        "package-writes-daemon-json",
        Severity.MEDIUM,
        "a package may write daemon.json by itself when it is installed or upgraded",
        "remove it if nothing needs it, or apt-mark hold it; what it has changed, the next audit "
        "and run tell",
        _writers,
    ),
)
