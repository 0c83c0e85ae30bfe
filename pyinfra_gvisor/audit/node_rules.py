"""What is looked for on a node that has gVisor: releases, wrappers, runtimes, sandboxes, proof."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.releases import known_escapes
from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.node import STATE_DIR
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.preflight import MIN_KERNEL
from pyinfra_gvisor.proof.unmade import tried_since
from pyinfra_gvisor.releases.pins import contradicts, unpinned
from pyinfra_gvisor.runtimes.dangers import dangers, told
from pyinfra_gvisor.runtimes.wrappers import flags_of, wrappers
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, is_as_written, release_of

PROOF = f"{STATE_DIR}/proof.json"
OLDEST_DOCKER = (20, 10)  # the oldest that Debian 12 brings, and that all of this was seen with


def _no_docker(host: Audited) -> Iterator[Seen]:
    if host.node.info is None:
        why = host.node.docker_error or "no /var/run/docker.sock"
        yield Seen("dockerd", cut(why))


def _old_docker(host: Audited) -> Iterator[Seen]:
    version = host.node.info.server_version if host.node.info else ""
    numbers = version.split(".")[:2]
    if all(part.isdigit() for part in numbers) and tuple(map(int, numbers)) < OLDEST_DOCKER:
        yield Seen("dockerd", f"Docker {version}")


def _old_kernel(host: Audited) -> Iterator[Seen]:
    if host.node.kernel_version < MIN_KERNEL:
        yield Seen("kernel", host.node.kernel)


def _upgrade_pending(host: Audited) -> Iterator[Seen]:
    if in_use := host.upgrading_from:
        evidence = f"runsc {in_use} is in use and proven, {host.settings.release} is declared"
        yield Seen(f"runsc {host.settings.release}", evidence)


def _release_missing(host: Audited) -> Iterator[Seen]:
    release = host.expected.release
    if release not in host.node.releases and release not in host.node.damaged:
        there = ", ".join(host.node.releases) or "none"
        yield Seen(f"{RELEASES_DIR}/{release}", f"on the node: {there}")


def _release_damaged(host: Audited) -> Iterator[Seen]:
    for release in host.node.damaged:
        known = release in host.node.manifests
        what = "a file has another size, mode, owner or time" if known else "no record of it"
        yield Seen(f"{RELEASES_DIR}/{release}", what)


def _release_unpinned(host: Audited) -> Iterator[Seen]:
    for release in (*host.node.releases, *host.node.damaged):
        declared = release == host.settings.release
        why = (
            unpinned(host.node, release, host.settings.archive)
            if declared
            else contradicts(host.node, release)
        )
        if why:  # the pin of one that was declared before may have been another
            worse = None if declared else Severity.MEDIUM
            yield Seen(f"{RELEASES_DIR}/{release}", why, worse)


def _known_escape(host: Audited) -> Iterator[Seen]:
    entries = host.node.info.runtimes if host.node.info else {}
    used = {release for entry in entries.values() if (release := release_of(entry.path or ""))}
    for release in sorted(used | {host.settings.release}):
        if escapes := known_escapes(release):
            yield Seen(f"runsc {release}", f"open to {escapes}", waived=host.settings.accept_risk)


def _wrapper_changed(host: Audited) -> Iterator[Seen]:
    """A wrapper's name ends in the beginning of its checksum."""
    for path, digest in host.node.wrappers.items():
        if release_of(path) and not is_as_written(path, digest):
            yield Seen(path, f"its sha256 begins with {digest[:8]}")


def _runtime(host: Audited) -> Iterator[Seen]:
    entries = host.node.info.runtimes if host.node.info else {}
    for item in wrappers(host.expected.release, host.settings.runtimes):
        entry = entries.get(item.runtime)
        if entry is None:
            yield Seen(f"runtime {item.runtime}", "dockerd does not know it")
        elif entry.path != item.path or entry.arguments:
            words = " ".join([entry.path or "a shim", *(entry.arguments or ())])
            yield Seen(f"runtime {item.runtime}", f"starts {words}, declared is {item.path}")
        elif item.path not in host.node.wrappers:
            yield Seen(f"runtime {item.runtime}", f"{item.path} is not there")


def _runtime_flags(host: Audited) -> Iterator[Seen]:
    """Find flags that no declared runtime has: those have reasons, which every run repeats."""
    declared = {item.path for item in wrappers(host.expected.release, host.settings.runtimes)}
    for name, entry in (host.node.info.runtimes if host.node.info else {}).items():
        if entry.path in declared and not entry.arguments:
            continue
        profile = host.settings.runtimes.get(name)
        accepted = profile.dangers() if profile else ()
        opened = told(dangers(flags_of(entry, host.node)))
        if found := [phrase for phrase in opened if phrase not in accepted]:
            yield Seen(f"runtime {name}", f"{entry.path}: {', and '.join(found)}")


def _link(host: Audited) -> Iterator[Seen]:
    link = host.node.runsc_link
    target = f"{RELEASES_DIR}/{host.expected.release}/runsc"
    if link is not None and link.startswith(RELEASES_DIR + "/") and link != target:
        yield Seen("/usr/local/bin/runsc", f"points at {link}, declared is {target}")


def _leak(host: Audited) -> Iterator[Seen]:
    for leak in host.observed.leaks:
        age = f"{leak.age_s // 60} minutes"
        yield Seen(f"process {leak.pid}", f"{leak.executable}, {age} old, for {cut(leak.id)[:12]}")


def _proof_missing(host: Audited) -> Iterator[Seen]:
    if not isinstance(host.node.state.get("proof"), dict):
        yield Seen(PROOF, f"there is no record of a proof{_tried(host)}")


def _proof_failed(host: Audited) -> Iterator[Seen]:
    record = host.node.state.get("proof")
    if isinstance(record, dict) and (failed := record.get("failed")):
        yield Seen(PROOF, f"not proven: {', '.join(map(str, failed))} (at {record.get('at')})")


def _proof_stale(host: Audited) -> Iterator[Seen]:
    record = host.node.state.get("proof")
    if not isinstance(record, dict) or record.get("failed"):
        return
    if record.get("fingerprint") != host.fingerprint:
        yield Seen(
            PROOF, f"the last proof, at {record.get('at')}, was of another state{_tried(host)}"
        )


def _tried(host: Audited) -> str:
    """Return why there is no later proof, if one was tried."""
    since = tried_since(host.node.state)
    return f"; {since}" if since else ""


ENGINE_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "docker-down",
        Severity.CRITICAL,
        "Docker is not there or does not answer, so nothing is known of its containers",
        "look at systemctl status docker",
        _no_docker,
    ),
    Rule(
        "docker-old",
        Severity.MEDIUM,
        "Docker is older than what this was ever seen to work with",
        "upgrade Docker",
        _old_docker,
    ),
)

GVISOR_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "kernel-old",
        Severity.HIGH,
        "the kernel is older than gVisor needs",
        "upgrade the node's kernel and boot it",
        _old_kernel,
    ),
    Rule(
        "upgrade-pending",
        Severity.MEDIUM,
        "upgrade pending: the declared release is not in use yet",
        "run deploys/gvisor.py; after a rollback set gvisor_release to the release in use",
        _upgrade_pending,
    ),
    Rule(
        "release-missing",
        Severity.HIGH,
        "the declared release is not on the node",
        "run deploys/gvisor.py",
        _release_missing,
    ),
    Rule(
        "release-damaged",
        Severity.CRITICAL,
        "a release is not what was installed",
        "find out who changed it; run deploys/gvisor.py, which puts back the declared one, and "
        "create anew what runs from it",
        _release_damaged,
    ),
    Rule(
        "release-unpinned",
        Severity.CRITICAL,
        "a release cannot be shown to be the pinned one",
        "run deploys/gvisor.py, which fetches the declared release again, and recreate the "
        "containers that run from it; remove another release when nothing needs it",
        _release_unpinned,
    ),
    Rule(
        "release-escape",
        Severity.CRITICAL,
        "a release in use has a published way out of the sandbox",
        "set gvisor_release to a later one and run deploys/gvisor.py",
        _known_escape,
    ),
    Rule(
        "wrapper-changed",
        Severity.CRITICAL,
        "a runtime's wrapper is not what was written",
        "find out who changed it; run deploys/gvisor.py, and create anew what was started by it",
        _wrapper_changed,
    ),
    Rule(
        "runtime-not-declared",
        Severity.CRITICAL,
        "a runtime is not what is declared, in the running dockerd",
        "run deploys/gvisor.py",
        _runtime,
    ),
    Rule(
        "runtime-dangerous",
        Severity.HIGH,
        "a runtime has flags that are dangerous or were not reviewed, and no reason for them",
        'take it out of daemon.json, or declare it in gvisor_runtimes with a "reason"',
        _runtime_flags,
    ),
    Rule(
        "link-elsewhere",
        Severity.LOW,
        "the link for people points at another release",
        "run deploys/gvisor.py",
        _link,
    ),
    Rule(
        "sandbox-leaked",
        Severity.MEDIUM,
        "a sandbox runs that no container of Docker's belongs to",
        "see what it is (ps, its parent); kill it if nothing needs it",
        _leak,
    ),
    Rule(
        "proof-missing",
        Severity.HIGH,
        "isolation was never proven on this node",
        "run deploys/gvisor.py",
        _proof_missing,
    ),
    Rule(
        "proof-failed",
        Severity.CRITICAL,
        "the last try to prove isolation failed",
        "do not run strangers' code here; run deploys/gvisor.py and see what it says",
        _proof_failed,
    ),
    Rule(
        "proof-stale",
        Severity.HIGH,
        "the node is not as it was when isolation was proven",
        "run deploys/gvisor.py, which proves it anew",
        _proof_stale,
    ),
)
