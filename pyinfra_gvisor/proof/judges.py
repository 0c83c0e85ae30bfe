"""Functions that judge observations: a missing observation is never what it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network

from pyinfra_gvisor.runtimes.profiles import RUNC_BY_NAME

# Of the containers, in bytes: `memory` in proof/containers.sh.
MEMORY_LIMIT = "134217728"
# The limit in force, and the memory that a program inside sees.
MEMORY_SEEN = f"{MEMORY_LIMIT}, inside {MEMORY_LIMIT}"

# `uname -v` in every release: pkg/sentry/kernel.
GVISOR_KERNEL = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
# `uname -r` before 20260427.0, and since. Observed, and read in gVisor's source.
GVISOR_RELEASES = frozenset({"4.4.0", "4.19.0-gvisor"})

Seen = Mapping[str, str]
# Gets the observations of a container and of the node; returns True if they are as they must be.
Judge = Callable[[Seen, Seen], bool]


def shows(key: str, *values: str) -> Judge:
    """Return a judge: the observation has one of these values."""
    return lambda seen, _node: seen.get(key) in values


def gvisors_version(seen: Seen, node: Seen) -> bool:
    return seen.get("kernel_version") == GVISOR_KERNEL != node.get("kernel_version")


def gvisors_release(seen: Seen, node: Seen) -> bool:
    """Return True for a kernel release of gVisor. An unknown one needs gVisor's version too."""
    found = seen.get("kernel_release")
    known = found in GVISOR_RELEASES or gvisors_version(seen, node)
    return bool(found) and known and found != node.get("kernel_release")


def as_on_node(key: str) -> Judge:
    """Return a judge: the observation equals the node's."""
    return lambda seen, node: bool(seen.get(key)) and seen.get(key) == node.get(key)


def is_a(state: str) -> Judge:
    """Return a judge: ``sandbox/verdict.pl`` found the container in this state."""
    return lambda seen, _node: bool(seen.get("process")) and seen.get("state") == state


def from_the_release(seen: Seen, node: Seen) -> bool:
    return bool(seen.get("file")) and seen.get("runs") == node["release"]


def from_no_release(seen: Seen, _node: Seen) -> bool:
    return bool(seen.get("file")) and not seen.get("runs")


def as_asked(seen: Seen, node: Seen) -> bool:
    """Return True for the requested runtime. With a default runtime the control requests none."""
    asked, subject = seen.get("asked"), seen.get("subject")
    if subject == RUNC_BY_NAME:
        return asked == "runc"
    return bool(asked) and asked == (node.get("default", subject) if subject == "runc" else subject)


def own_address(seen: Seen, node: Seen) -> bool:
    address, nodes = seen.get("address"), node.get("addresses", "").split()
    try:
        inside = ip_address(address or "") in ip_network(node.get("subnet", ""))
    except ValueError:
        return False
    return inside and bool(nodes) and address not in nodes and address == seen.get("given_address")


def as_peer(key: str) -> Judge:
    """Return a judge: a name resolved to the address of the other container."""
    return lambda seen, node: bool(seen.get(key)) and seen.get(key) == node.get("peer_address")


def not_beyond(seen: Seen, node: Seen) -> bool:
    """Return True if an alias did not resolve to the address that it has on the other network."""
    found, beyond = seen.get("dns_scope"), node.get("beyond")
    if not _is_address(beyond) or found == beyond:
        return False
    return found in ("unknown", "no answer") or _is_address(found)


def _is_address(text: str | None) -> bool:
    try:
        return bool(ip_address(text or ""))
    except ValueError:
        return False


def external_resolved(seen: Seen, _node: Seen) -> bool:
    return bool(seen.get("dns_external"))


def stopped(key: str) -> Judge:
    """Return a judge: the firewall blocked the connection, and the container saw no connection."""

    def judge(seen: Seen, _node: Seen) -> bool:
        by_rules, inside = _tried(seen, key)
        return by_rules == "stopped" and inside not in ("", "connected")

    return judge


def let_through(key: str) -> Judge:
    """Return a judge: the firewall accepted the connection, whatever the peer answered."""
    return lambda seen, _node: _tried(seen, key)[0] == "let through"


def _tried(seen: Seen, key: str) -> tuple[str, str]:
    """Return what the firewall did and what the container saw, of such as "stopped, no route"."""
    by_rules, _, inside = seen.get(key, "").partition(", ")
    return by_rules, inside


def same(judge: Judge) -> tuple[Judge, Judge]:
    """Return the judges of a check where the sandbox and runc must show the same."""
    return judge, judge


def refused(key: str) -> tuple[Judge, Judge]:
    """Return the judges of a check where the sandbox refuses what runc allows."""
    return shows(key, "refused"), shows(key, "allowed")
