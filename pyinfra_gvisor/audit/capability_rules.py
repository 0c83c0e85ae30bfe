"""What is looked for in a container's capabilities: beyond Docker's own, and beyond need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyinfra_gvisor.audit.observed import Given
from pyinfra_gvisor.audit.rules import Rule, Running, Seen
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.releases import Release, parse_release

# What Docker gives a container anyway: moby, oci/caps/defaults.go. docker-bench-security 5.4 looks
# for more than these only, so that what keeps them is no finding of it.
DEFAULT_CAPABILITIES = frozenset(
    {
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
        "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    }
)  # fmt: skip
ALL = "ALL"
# What of those beyond Docker's own is root on the node, where the node's kernel decides:
# capabilities(7). In a sandbox they are the sentry's, which has none of them: gVisor,
# runsc/boot/loader.go and https://gvisor.dev/docs/architecture_guide/security/.
ROOT_ON_THE_NODE = frozenset(
    {
        "ALL", "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE",
        "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO",
        "SYS_TIME", "SYSLOG",
    }
)  # fmt: skip
FREE_PORT = 1024  # the first that anybody may bind: Linux, ip-sysctl, ip_unprivileged_port_start
# Tried with port 80: 20240729.0 refuses, the lab build of 20260905 binds. Between them it is not
# known, and reported.
BINDS_EVERY_PORT_FROM = Release(20260905, 0)


def _names(capabilities: Iterable[str]) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in capabilities}


def _kept(given: Given) -> set[str]:
    """Docker's own capabilities that were not dropped: moby, TweakCapabilities."""
    dropped = _names(given.dropped)
    return set() if ALL in dropped else set(DEFAULT_CAPABILITIES - dropped)


def _may_bind(given: Given) -> bool:
    added = _names(given.capabilities)
    wanted = "NET_BIND_SERVICE"
    if ALL in added:
        return wanted not in _names(given.dropped)
    return given.privileged or wanted in added | _kept(given)


def _added(running: Running) -> Iterator[Seen]:
    if added := sorted(_names(running.given.capabilities) - DEFAULT_CAPABILITIES):
        worse = not running.sandboxed and not ROOT_ON_THE_NODE.isdisjoint(added)
        yield running.seen(f"added: {', '.join(added)}", Severity.HIGH if worse else None)


def _default(running: Running) -> Iterator[Seen]:
    """What nearly every container has is no news but where the policy asks for a sandbox."""
    given = running.given
    if not running.must or running.exempt:
        return
    if given.privileged or ALL in _names(given.capabilities):
        return  # told by other rules
    if kept := _kept(given) - _names(given.capabilities):
        dropped = ", ".join(sorted(_names(given.dropped))) or "nothing"
        yield running.seen(f"dropped: {dropped}; kept and not asked for: {len(kept)}")


def _low_port(running: Running) -> Iterator[Seen]:
    """
    Report low ports that an older runsc with the host's network lets no container bind without
    NET_BIND_SERVICE: the node's kernel decides by the sentry's own capabilities, and runsc leaves
    out the sysctl by which Docker lets everybody bind every port. Since 2026 the sentry keeps that
    capability (seen as CapEff 8141f whatever was dropped). gVisor's own network asks for none.
    """
    profile = running.host.settings.runtimes.get(running.container.runtime)
    if not running.sandboxed or profile is None or profile.network != "host":
        return
    release = running.container.release
    if release is not None and parse_release(release) >= BINDS_EVERY_PORT_FROM:
        return
    low = [port for port in running.given.ports if int(port.split("/")[0]) < FREE_PORT]
    if low and not _may_bind(running.given):
        yield running.seen(", ".join(low))


CAPABILITY_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "container-capabilities",
        Severity.MEDIUM,
        "it has capabilities beyond Docker's own",
        "create it without them",
        _added,
        cis="5.4",
    ),
    Rule(
        "container-low-port",
        Severity.MEDIUM,
        "it has a port below 1024 that it cannot bind under gVisor with the host's network, though "
        "under runc it can: it lacks NET_BIND_SERVICE",
        "create it with --cap-add=NET_BIND_SERVICE, or have it listen on a higher port",
        _low_port,
    ),
    Rule(
        "container-capabilities-kept",
        Severity.LOW,
        "it keeps capabilities that Docker gives to every container",
        "create it with --cap-drop=ALL and add back what it needs; for ports below 1024 under a "
        "gVisor before 2026 that is --cap-add=NET_BIND_SERVICE, which runc does not ask for",
        _default,
    ),
)
