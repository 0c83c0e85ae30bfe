"""Rules about a container's capabilities: more than Docker's defaults, and more than it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyinfra_gvisor.audit.observed import Given
from pyinfra_gvisor.audit.rules import Observation, Rule, Running
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.releases import Release, parse_release

# What Docker gives every container: moby, oci/caps/defaults.go. docker-bench-security 5.4 reports
# only capabilities beyond these.
DEFAULT_CAPABILITIES = frozenset(
    {
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
        "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    }
)  # fmt: skip
ALL = "ALL"
# Capabilities beyond Docker's defaults that make a container root on the node if the host kernel
# grants them: capabilities(7). In a sandbox the sentry grants them, and has none on the host:
# gVisor, runsc/boot/loader.go and https://gvisor.dev/docs/architecture_guide/security/.
ROOT_ON_THE_NODE = frozenset(
    {
        "ALL", "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE",
        "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO",
        "SYS_TIME", "SYSLOG",
    }
)  # fmt: skip
# The first port that needs no capability: Linux, ip-sysctl, ip_unprivileged_port_start.
FREE_PORT = 1024
# Tried with port 80: 20240729.0 refuses, the lab build of 20260905 binds. Releases between them
# were not tried, and are reported.
BINDS_EVERY_PORT_FROM = Release(20260905, 0)


def _names(capabilities: Iterable[str]) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in capabilities}


def _kept(given: Given) -> set[str]:
    """Return Docker's default capabilities that were not dropped: moby, TweakCapabilities."""
    dropped = _names(given.dropped)
    return set() if ALL in dropped else set(DEFAULT_CAPABILITIES - dropped)


def _may_bind(given: Given) -> bool:
    added = _names(given.capabilities)
    wanted = "NET_BIND_SERVICE"
    if ALL in added:
        return wanted not in _names(given.dropped)
    return given.privileged or wanted in added | _kept(given)


def _added(running: Running) -> Iterator[Observation]:
    if added := sorted(_names(running.given.capabilities) - DEFAULT_CAPABILITIES):
        worse = not running.sandboxed and not ROOT_ON_THE_NODE.isdisjoint(added)
        yield running.seen(f"added: {', '.join(added)}", Severity.HIGH if worse else None)


def _default(running: Running) -> Iterator[Observation]:
    """Report default capabilities only of containers that must run in gVisor: all have them."""
    given = running.given
    if not running.must or running.exempt:
        return
    if given.privileged or ALL in _names(given.capabilities):
        return  # reported by other rules
    if kept := _kept(given) - _names(given.capabilities):
        dropped = ", ".join(sorted(_names(given.dropped))) or "nothing"
        yield running.seen(f"dropped: {dropped}; kept by default: {len(kept)}")


def _low_port(running: Running) -> Iterator[Observation]:
    """
    Report ports below 1024 that a container without NET_BIND_SERVICE cannot bind under an older
    runsc with the host's network. There the host kernel checks the sentry's own capabilities, and
    runsc omits the sysctl by which Docker allows every port. Since 2026 the sentry keeps that
    capability (seen as CapEff 8141f whatever was dropped). gVisor's own network needs none.
    """
    profile = running.profile
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
        "Has capabilities beyond Docker's defaults",
        "Recreate the container without these capabilities",
        _added,
        cis="5.4",
    ),
    Rule(
        "container-low-port",
        Severity.MEDIUM,
        "Cannot bind its port below 1024: gVisor with the host's network requires "
        "NET_BIND_SERVICE, unlike runc",
        "Recreate the container with --cap-add=NET_BIND_SERVICE, or listen on port 1024 or higher",
        _low_port,
    ),
    Rule(
        "container-capabilities-kept",
        Severity.LOW,
        "Keeps capabilities that Docker gives to every container",
        "Recreate the container with --cap-drop=ALL and add back what it needs. Ports below 1024 "
        "need --cap-add=NET_BIND_SERVICE under a gVisor before 2026, though not under runc",
        _default,
    ),
)
