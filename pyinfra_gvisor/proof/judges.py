"""How what was seen is judged: one function a check, true only of what was really seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network

# Of the containers, in bytes: `memory` in scripts/prove.sh.
MEMORY_LIMIT = "134217728"

# `uname -v` in every release, pkg/sentry/kernel: it says nothing about the host's kernel.
GVISOR_KERNEL = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
# `uname -r`: the former before 20260427.0, the latter since. Seen, and read in several sources.
GVISOR_RELEASES = frozenset({"4.4.0", "4.19.0-gvisor"})

Seen = Mapping[str, str]
# What a container showed and what is known of the node; whether that proves it.
Judge = Callable[[Seen, Seen], bool]


def shows(key: str, *values: str) -> Judge:
    """That an observation is one of these values."""
    return lambda seen, _node: seen.get(key) in values


def gvisors_version(seen: Seen, node: Seen) -> bool:
    return seen.get("kernel_version") == GVISOR_KERNEL != node.get("kernel_version")


def gvisors_release(seen: Seen, node: Seen) -> bool:
    """A later release may have another one: what is not known has to come with gVisor's version."""
    found = seen.get("kernel_release")
    known = found in GVISOR_RELEASES or gvisors_version(seen, node)
    return bool(found) and known and found != node.get("kernel_release")


def as_on_node(key: str) -> Judge:
    """That an observation is the node's own of that name."""
    return lambda seen, node: bool(seen.get(key)) and seen.get(key) == node.get(key)


def is_a(state: str) -> Judge:
    """That the container was seen to be that: ``sandbox/verdict.pl``."""
    return lambda seen, _node: bool(seen.get("process")) and seen.get("state") == state


def from_the_release(seen: Seen, node: Seen) -> bool:
    return bool(seen.get("file")) and seen.get("runs") == node["release"]


def from_no_release(seen: Seen, _node: Seen) -> bool:
    return bool(seen.get("file")) and not seen.get("runs")


def as_asked(seen: Seen, _node: Seen) -> bool:
    return bool(seen.get("asked")) and seen.get("asked") == seen.get("subject")


def own_address(seen: Seen, node: Seen) -> bool:
    address, nodes = seen.get("address"), node.get("addresses", "").split()
    try:
        inside = ip_address(address or "") in ip_network(node.get("subnet", ""))
    except ValueError:
        return False
    return inside and bool(nodes) and address not in nodes and address == seen.get("given_address")


def as_peer(key: str) -> Judge:
    """That a name has led to the container beside it."""
    return lambda seen, node: bool(seen.get(key)) and seen.get(key) == node.get("peer_address")


def not_beyond(seen: Seen, node: Seen) -> bool:
    """Not the address that who is on that network has; somebody outside may answer for any name."""
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
    """That the rules have stopped it, and that it was seen inside not to get through either."""

    def judge(seen: Seen, _node: Seen) -> bool:
        by_rules, inside = _tried(seen, key)
        return by_rules == "stopped" and inside not in ("", "connected")

    return judge


def let_through(key: str) -> Judge:
    """That the rules have let it through, whatever answers there."""
    return lambda seen, _node: _tried(seen, key)[0] == "let through"


def _tried(seen: Seen, key: str) -> tuple[str, str]:
    """What the rules did with a connection, and what it came to: "stopped, no route"."""
    by_rules, _, inside = seen.get(key, "").partition(", ")
    return by_rules, inside


def same(judge: Judge) -> tuple[Judge, Judge]:
    """For what the sandbox and runc must both show."""
    return judge, judge


def refused(key: str) -> tuple[Judge, Judge]:
    """For what the sandbox refuses and runc allows."""
    return shows(key, "refused"), shows(key, "allowed")
