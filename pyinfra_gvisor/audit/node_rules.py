"""Rules about gVisor on a node: releases, wrappers, runtimes, sandboxes, proof."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.releases import known_escapes
from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.base.scripts import SOCKET
from pyinfra_gvisor.node import STATE_DIR
from pyinfra_gvisor.planning.preflight import MIN_KERNEL
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.proof_errors import tried_since
from pyinfra_gvisor.releases.pins import contradicts, unpinned
from pyinfra_gvisor.runtimes.unsafe_flags import dangers, describe
from pyinfra_gvisor.runtimes.wrappers import Wrapper, flags_of, wrappers
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, is_as_written, release_of

PROOF = f"{STATE_DIR}/proof.json"
OLDEST_DOCKER = (20, 10)  # the oldest Docker that was tested


def _no_docker(host: Audited) -> Iterator[Observation]:
    if host.node.info is None and not host.node.engine_problem:
        yield Observation("dockerd", cut(host.node.docker_error or f"no {SOCKET}"))


def _other_engine(host: Audited) -> Iterator[Observation]:
    if problem := host.node.engine_problem:
        yield Observation(SOCKET, f"{problem.what}, got {problem.got}")


def _old_docker(host: Audited) -> Iterator[Observation]:
    version = host.node.info.server_version if host.node.info else ""
    numbers = version.split(".")[:2]
    if all(part.isdigit() for part in numbers) and tuple(map(int, numbers)) < OLDEST_DOCKER:
        yield Observation("dockerd", f"Docker {version}")


def _old_kernel(host: Audited) -> Iterator[Observation]:
    if host.node.kernel_version < MIN_KERNEL:
        yield Observation("kernel", host.node.kernel)


def _upgrade_pending(host: Audited) -> Iterator[Observation]:
    if in_use := host.upgrading_from:
        evidence = f"runsc {in_use} is in use and proven, {host.settings.release} is declared"
        yield Observation(f"runsc {host.settings.release}", evidence)


def _release_missing(host: Audited) -> Iterator[Observation]:
    release = host.expected.release
    if release not in host.node.releases and release not in host.node.damaged:
        there = ", ".join(host.node.releases) or "none"
        yield Observation(f"{RELEASES_DIR}/{release}", f"on the node: {there}")


def _release_damaged(host: Audited) -> Iterator[Observation]:
    for release in host.node.damaged:
        known = release in host.node.manifests
        what = "a file's size, mode, owner or time changed" if known else "it has no manifest.json"
        yield Observation(f"{RELEASES_DIR}/{release}", what)


def _release_unpinned(host: Audited) -> Iterator[Observation]:
    for release in (*host.node.releases, *host.node.damaged):
        declared = release == host.settings.release
        why = (
            unpinned(host.node, release, host.settings.archive)
            if declared
            else contradicts(host.node, release)
        )
        if why:  # a release that was declared earlier may have had another pin
            worse = None if declared else Severity.MEDIUM
            yield Observation(f"{RELEASES_DIR}/{release}", why, worse)


def _known_escape(host: Audited) -> Iterator[Observation]:
    entries = host.node.info.runtimes if host.node.info else {}
    used = {release for entry in entries.values() if (release := release_of(entry.path or ""))}
    for release in sorted(used | {host.settings.release}):
        if escapes := known_escapes(release):
            told_of = f"known escapes: {escapes}"
            yield Observation(f"runsc {release}", told_of, waived=host.settings.accept_risk)


def _wrapper_changed(host: Audited) -> Iterator[Observation]:
    """Report wrappers whose sha256 does not begin with the 8 digits at the end of their name."""
    for path, digest in host.node.wrappers.items():
        if release_of(path) and not is_as_written(path, digest):
            yield Observation(path, f"its sha256 now begins with {digest[:8]}")


def _declared(host: Audited) -> tuple[Wrapper, ...]:
    return wrappers(host.expected.release, host.settings.runtimes, host.settings.dispatch)


def _runtime(host: Audited) -> Iterator[Observation]:
    entries = host.node.info.runtimes if host.node.info else {}
    for item in _declared(host):
        entry = entries.get(item.runtime)
        if not item.is_runtime:
            if item.path not in host.node.wrappers:
                yield Observation(item.path, "does not exist, and wrappers need it")
        elif entry is None:
            yield Observation(f"runtime {item.runtime}", "not registered in dockerd")
        elif entry.path != item.path or entry.arguments:
            words = " ".join([entry.path or "a shim", *(entry.arguments or ())])
            yield Observation(f"runtime {item.runtime}", f"starts {words}, declared is {item.path}")
        elif item.path not in host.node.wrappers:
            yield Observation(f"runtime {item.runtime}", f"{item.path} does not exist")
        elif item.path in host.node.not_executable:
            yield Observation(f"runtime {item.runtime}", f"{item.path} is not executable")


def _runtime_flags(host: Audited) -> Iterator[Observation]:
    """Report dangerous flags of undeclared runtimes; the declared ones have reasons."""
    declared = {item.path for item in _declared(host)}
    for name, entry in (host.node.info.runtimes if host.node.info else {}).items():
        if entry.path in declared and not entry.arguments:
            continue
        profile = host.settings.runtimes.get(name)
        accepted = profile.dangers() if profile else ()
        opened = describe(dangers(flags_of(entry, host.node)))
        if found := [phrase for phrase in opened if phrase not in accepted]:
            yield Observation(f"runtime {name}", f"{entry.path}: {'; '.join(found)}")


def _link(host: Audited) -> Iterator[Observation]:
    link = host.node.runsc_link
    target = f"{RELEASES_DIR}/{host.expected.release}/runsc"
    if link is not None and link.startswith(RELEASES_DIR + "/") and link != target:
        yield Observation("/usr/local/bin/runsc", f"points at {link}, declared is {target}")


def _leak(host: Audited) -> Iterator[Observation]:
    for leak in host.observed.leaks:
        age = f"{leak.age_s // 60} minutes"
        told_of = f"{leak.executable}, {age} old, sandbox {cut(leak.id)[:12]}"
        yield Observation(f"process {leak.pid}", told_of)


def _proof_missing(host: Audited) -> Iterator[Observation]:
    if not isinstance(host.node.state.get("proof"), dict):
        yield Observation(PROOF, f"no record of a proof{_tried(host)}")


def _proof_failed(host: Audited) -> Iterator[Observation]:
    record = host.node.state.get("proof")
    if isinstance(record, dict) and (failed := record.get("failed")):
        failures = ", ".join(map(str, failed))
        yield Observation(PROOF, f"failed checks: {failures} (at {record.get('at')})")


def _proof_stale(host: Audited) -> Iterator[Observation]:
    record = host.node.state.get("proof")
    if not isinstance(record, dict) or record.get("failed"):
        return
    if record.get("fingerprint") != host.fingerprint:
        yield Observation(
            PROOF, f"changed since the last proof at {record.get('at')}{_tried(host)}"
        )


def _tried(host: Audited) -> str:
    """Return why a later proof could not be made, after a ``;``; empty if none was tried."""
    since = tried_since(host.node.state)
    return f"; {since}" if since else ""


ENGINE_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "docker-down",
        Severity.CRITICAL,
        "Docker is missing or does not answer, so its containers cannot be checked",
        "Check systemctl status docker",
        _no_docker,
    ),
    Rule(
        "docker-elsewhere",
        Severity.CRITICAL,
        "The node's dockerd does not answer at Docker's socket, so its containers are not checked",
        f"Give the other engine another socket, or have dockerd listen on {SOCKET}. Then restart "
        "dockerd",
        _other_engine,
    ),
    Rule(
        "docker-old",
        Severity.MEDIUM,
        "Docker is older than 20.10, the oldest version that was tested",
        "Upgrade Docker",
        _old_docker,
    ),
)

GVISOR_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "kernel-old",
        Severity.HIGH,
        "The kernel is older than gVisor requires",
        "Upgrade the node's kernel, then reboot",
        _old_kernel,
    ),
    Rule(
        "upgrade-pending",
        Severity.MEDIUM,
        "Upgrade pending: the declared release is not in use yet",
        "Run pyinfra-gvisor apply. After a rollback, set gvisor_release to the release in use",
        _upgrade_pending,
    ),
    Rule(
        "release-missing",
        Severity.HIGH,
        "The declared release is not installed",
        "Run pyinfra-gvisor apply",
        _release_missing,
    ),
    Rule(
        "release-damaged",
        Severity.CRITICAL,
        "A release was changed after installation",
        "Find out who changed it. Run pyinfra-gvisor apply, which repairs the declared release, "
        "and recreate the containers that run on this release",
        _release_damaged,
    ),
    Rule(
        "release-unpinned",
        Severity.CRITICAL,
        "A release was not installed from the pinned files, or has no record of its files",
        "Run pyinfra-gvisor apply, which downloads the declared release again, and recreate the "
        "containers that run on it. Remove another release once nothing needs it",
        _release_unpinned,
    ),
    Rule(
        "release-escape",
        Severity.CRITICAL,
        "A release has a published sandbox escape",
        "Set gvisor_release to a later release and run pyinfra-gvisor apply",
        _known_escape,
    ),
    Rule(
        "wrapper-changed",
        Severity.CRITICAL,
        "A runtime's wrapper was changed",
        "Find out who changed it. Run pyinfra-gvisor apply, and recreate the containers of this "
        "runtime",
        _wrapper_changed,
    ),
    Rule(
        "runtime-not-declared",
        Severity.CRITICAL,
        "A runtime in the running dockerd is not as declared",
        "Run pyinfra-gvisor apply",
        _runtime,
    ),
    Rule(
        "runtime-dangerous",
        Severity.HIGH,
        "A runtime has flags that are dangerous or were not reviewed, without a reason",
        'Remove the runtime from daemon.json, or declare it in gvisor_runtimes with a "reason"',
        _runtime_flags,
    ),
    Rule(
        "link-elsewhere",
        Severity.LOW,
        "The command runsc is linked to another release",
        "Run pyinfra-gvisor apply",
        _link,
    ),
    Rule(
        "sandbox-leaked",
        Severity.MEDIUM,
        "A sandbox runs without a Docker container",
        "Find out what started it (ps -o ppid,args), and kill it if nothing needs it",
        _leak,
    ),
    Rule(
        "proof-missing",
        Severity.HIGH,
        "Isolation was never proven on this node",
        "Run pyinfra-gvisor apply",
        _proof_missing,
    ),
    Rule(
        "proof-failed",
        Severity.CRITICAL,
        "The last proof of isolation failed",
        "Do not run untrusted code here. Run pyinfra-gvisor apply: it names the failed checks",
        _proof_failed,
    ),
    Rule(
        "proof-stale",
        Severity.HIGH,
        "The node changed since isolation was proven",
        "Run pyinfra-gvisor apply, which proves isolation again",
        _proof_stale,
    ),
)
