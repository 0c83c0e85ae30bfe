"""
Render the rules for nftables: one table of our own, replaced in one transaction.

Its chains run before those of Docker and of the node (priority filter - 5). Later chains can still
block what they accept, but cannot accept what they block. nft(8) and https://wiki.nftables.org.
No other table is touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import TypeVar

from pyinfra_gvisor.judge.networks import LINK_LOCAL
from pyinfra_gvisor.parts.egress.dockerd import SWARM_PORTS, Dockerd, filters_docker
from pyinfra_gvisor.parts.egress.host_network import FROM_BRIDGE, TO_BRIDGE, Surroundings
from pyinfra_gvisor.parts.egress.settings import (
    METADATA,
    PRIVATE,
    Allowed,
    App,
    Egress,
    Network,
    network,
    port_range,
    translated,
)

T = TypeVar("T")

FAMILY, NAME = "inet", "pyinfra_gvisor"
TABLE = f"{FAMILY} {NAME}"
STOPPED_SIZE = 4096  # different blocked attempts that are remembered
NAME_SIZE = 256  # addresses of a name
GROUPS = "docker"
"""The set of the control groups of dockerd, containerd and BuildKit, which each start replaces."""
PROXY = "docker_proxy"
"""The set with dockerd's, if it runs docker-proxy, which leads clients to containers."""
GROUPS_SIZE = 64
_LEVELS = (1, 2, 3)
"""Of a unit's group: 2 in ``system.slice``, another one in a slice of the operator's."""
WOULD_DROP = "would_drop"  # begins the names of counters of rules that only report
RATED_SIZE = 65535  # containers whose new connections are counted

# conntrack calls each packet of a flow new until there is an answer; the flow is confirmed once
# its first packet has left. So this matches the first packet only.
_NEW = "ct state new ct status & confirmed == 0"
_KNOWN = "ct state established,related accept"
_REJECT = "reject with icmpx admin-prohibited"
_TUPLE = {
    family: f"{family} saddr . {family} daddr . meta l4proto . th dport" for family in ("ip", "ip6")
}
_PORTED = "meta l4proto { tcp, udp }"  # in ICMP, nft would read the checksum as a port
_ASKED = f"{_PORTED} th dport 53"


def rules_text(egress: Egress, around: Surroundings) -> str:
    """
    Return the file for ``nft -f``, which replaces our table by the declared one.

    Its comments tell ``members.sh`` which sets the node fills, and with what.
    """
    dockerd = around.dockerd if filters_docker(egress, around.dockerd) else None
    lists = _Lists(egress, dockerd, around.dockerd.unit)
    body = [
        *(f"counter {name} {{ }}" for name in counters(egress)),
        *_sets(egress),
        *lists.sets(),
        *(
            line
            for name, lines in _chains(egress, around, lists).items()
            for line in _block(f"chain {name}", lines)
        ),
    ]
    return "".join(
        f"{line}\n"
        for line in (
            "# Written by pyinfra-gvisor from gvisor_egress in the inventory. Do not edit.",
            *lists.members(),
            f"table {TABLE}",
            f"delete table {TABLE}",
            *_block(f"table {TABLE}", body),
        )
    )


def _chains(egress: Egress, around: Surroundings, lists: _Lists) -> dict[str, Iterable[str]]:
    chains: dict[str, Iterable[str]] = {
        **{f"stop_{reason}": _stop(reason, egress) for reason in _reasons(egress)},
        **{
            _chain(name, is_named=is_named): lines
            for name, app in lists.apps().items()
            for is_named in (False, True)
            if (lines := [*_allowed(app.allow, f"accept_{name}", is_named=is_named)])
        },
        "beyond": _beyond(egress, around, lists),
        "to_node": _to_node(egress),
        "from_containers": _from_containers(egress, around),
        "forward": _hook("forward", "goto from_containers", around),
        "input": _hook("input", "goto to_node", around),
    }
    if lists.dockerd:
        chains["beyond_docker"] = _beyond_docker(egress, around, lists)
        chains["docker_translated"] = _docker_translated(lists)
        chains["from_docker"] = _from_docker(egress, around)
        chains["output"] = _output()
    return chains


@dataclass(frozen=True)
class _Lists:
    """
    What is allowed, and to whom.

    ``dockerd`` is None if the rules do not hold for it; ``unit`` is its unit.
    """

    egress: Egress
    dockerd: Dockerd | None
    unit: str

    def everybodys(self) -> dict[str, Allowed]:
        """Return what all containers may reach, and Docker."""
        return _numbered("allow", self.egress.allow)

    def own(self) -> tuple[Allowed, ...]:
        """Return what Docker itself may reach besides."""
        return (*self.egress.docker_allow, *self.dockerd.peers) if self.dockerd else ()

    def apps(self) -> dict[str, App]:
        """Return the apps by number."""
        return _numbered("app", self.egress.apps)

    def sets(self) -> Iterator[str]:
        """Yield the sets that the node fills."""
        for name in (GROUPS, PROXY) if self.dockerd else ():
            yield from _block(f"set {name}", ["type cgroupsv2", f"size {GROUPS_SIZE}"])
        for app in self.egress.apps:
            yield from _block(f"set {app_set(app)}", ["type ifname", f"size {NAME_SIZE}"])
        for key in self._names():
            for version in ("4", "6"):
                members = [f"type ipv{version}_addr", "flags timeout", f"size {NAME_SIZE}"]
                yield from _block(f"set {key}_{version}", members)

    def members(self) -> Iterator[str]:
        """Yield the comments that say with what."""
        if self.dockerd:
            yield f"# groups {' '.join(self.dockerd.units)}"
        yield f"# dockerd {self.unit}"
        for app in self.egress.apps:
            yield f"# app {app_set(app)} {app.selector}"
        for key, name in self._names().items():
            yield f"# name {key} {name}"

    def _names(self) -> dict[str, str]:
        peers = self.dockerd.peers if self.dockerd else ()
        every = (*self.egress.exceptions, *peers)
        return {name_set(item.to): item.to for item in every if item.network is None}


def name_set(name: str) -> str:
    """Return how the sets of a name's addresses begin: no other table has them for another name."""
    return f"name_{_digest(name)}"


def app_set(app: App) -> str:
    """Return the set with an app's bridges."""
    return f"app_{_digest(app.selector)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _numbered(name: str, items: Iterable[T]) -> dict[str, T]:
    return {f"{name}_{number}": item for number, item in enumerate(items, 1)}


def counters(egress: Egress) -> tuple[str, ...]:
    """Return the counters' names: ``accept_…`` count new connections, others packets."""
    allowed = [f"accept_{name}" for name in _numbered("allow", egress.allow)]
    allowed += [f"accept_{name}" for name in _numbered("app", egress.apps)]
    accepts = ("accept_dns", "accept_node_dns", "accept_node", *allowed, "accept_internet")
    return (*accepts, *(f"{_dropping(egress)}_{reason}" for reason in _reasons(egress)))


def blocks(rules: str) -> bool:
    """Return True if these rules of a node block; False if they only report."""
    return WOULD_DROP not in rules


def holds_for_docker(rules: str) -> bool:
    """Return True if these rules of a node hold for what Docker itself sends."""
    return f"set {GROUPS} {{" in rules


def is_followed(rules: str) -> bool:
    """Return True if what these rules of a node are about changes: names, and networks of apps."""
    return "\n# app " in rules or "\n# name " in rules


def _dropping(egress: Egress) -> str:
    return WOULD_DROP if egress.only_reports else "drop"


def _reasons(egress: Egress) -> tuple[str, ...]:
    deny = ("deny",) if egress.deny else ()
    rate = ("rate",) if egress.new_connections_per_s else ()
    return (*egress.block, *deny, *rate)


def _block(head: str, lines: Iterable[str]) -> list[str]:
    return [f"{head} {{", *(f"\t{line}" for line in lines), "}"]


def _sets(egress: Egress) -> Iterator[str]:
    """
    Yield the sets that rules fill: blocked attempts, and allowed ones of the proof's probe.

    If rules only report, an attempt stays in ``first…`` since its first packet, and in ``stopped…``
    since its last one.
    """
    kept = {"stopped": "7d", "first": "28d"} if egress.only_reports else {"stopped": "1h"}
    passed = ["flags dynamic,timeout", "timeout 1m", f"size {STOPPED_SIZE}"]
    for version in ("4", "6"):
        for name, timeout in kept.items():
            key, size = _key(f"ipv{version}_addr"), f"size {STOPPED_SIZE}"
            tried = [f"type {key}", "flags dynamic,timeout", f"timeout {timeout}", size]
            yield from _block(f"set {name}{version}", tried)
    yield from _block("set controls4", ["type ipv4_addr", "flags timeout"])
    yield from _block("set passed4", [f"type {_key('ipv4_addr')}", *passed])
    if egress.new_connections_per_s:
        for version in ("4", "6"):
            rated = [f"type ipv{version}_addr", "flags dynamic,timeout", "timeout 1m"]
            yield from _block(f"set rated{version}", [*rated, f"size {RATED_SIZE}"])


def _key(address: str) -> str:
    return f"{address} . {address} . inet_proto . inet_service"


def _stop(reason: str, egress: Egress) -> Iterator[str]:
    """Reject instead of drop: an error at once is easier to understand than a timeout."""
    only_reports, counter = egress.only_reports, f"counter name {_dropping(egress)}_{reason}"
    if egress.log_per_minute:
        what = f"would block, {reason}" if only_reports else reason
        log = f'log prefix "pyinfra-gvisor {what}: " level info'
        yield f"limit rate {egress.log_per_minute}/minute burst 5 packets {log}"
    if reason == "rate":  # A flood is neither answered nor remembered.
        yield f"{counter} {'accept' if only_reports else 'drop'}"
        return
    for family, version in (("ip", "4"), ("ip6", "6")):
        if only_reports:
            yield f"{_PORTED} add @first{version} {{ {_TUPLE[family]} }}"
        counted = " counter" if only_reports else ""
        yield f"{_PORTED} update @stopped{version} {{ {_TUPLE[family]}{counted} }}"
    yield counter
    yield "accept" if only_reports else _REJECT


def _hook(hook: str, verdict: str, around: Surroundings) -> Iterator[str]:
    yield f"type filter hook {hook} priority filter - 5; policy accept;"
    yield _KNOWN
    for name in around.excluded:
        yield f'iifname "{name}" accept'
    for name in around.interfaces:
        yield f'iifname "{name}" {verdict}'
    yield f"{FROM_BRIDGE} {verdict}"


def _from_containers(egress: Egress, around: Surroundings) -> Iterator[str]:
    """
    Yield the rules for packets from containers. Between containers Docker alone decides.

    That holds for networks created later, too. With br_netfilter, packets within one bridge come
    here as well. A bridge created later may lead out of the node, so metadata addresses, which no
    container has, are checked before it is accepted.
    """
    for name in around.foreign:
        yield f'iifname "{name}" oifname "{name}" accept'
    for name in (*around.excluded, *around.foreign):
        yield f'oifname "{name}" goto beyond'
    for name in around.interfaces:
        yield f'oifname "{name}" accept'
    if "metadata" in egress.block:  # link-local apart: IPv6 neighbours on a bridge need it
        yield from _to((text for text in METADATA if text != LINK_LOCAL), "goto beyond")
    yield f"{TO_BRIDGE} accept"
    yield "goto beyond"


def _control() -> str:
    return f"ip saddr @controls4 update @passed4 {{ {_TUPLE['ip']} }} accept"


def _beyond(egress: Egress, around: Surroundings, lists: _Lists) -> Iterator[str]:
    """Yield the rules for packets that leave the node."""
    yield _control()
    yield from _to(around.resolvers, f"{_ASKED} counter name accept_dns accept")
    for is_named in (False, True):  # a name opens neither metadata services nor what is denied
        yield from _everybodys(lists, is_named=is_named)
        for name, app in lists.apps().items():
            if any(is_named is (item.network is None) for item in app.allow):
                yield f"iifname @{app_set(app)} jump {_chain(name, is_named=is_named)}"
        if not is_named:
            yield from _destinations(egress)
    if "private" in egress.block:
        yield from _to(PRIVATE, "goto stop_private")
    yield from _mail(egress)
    if rate := egress.new_connections_per_s:
        over = f"limit rate over {rate}/second burst {2 * rate} packets"
        for family, version in (("ip", "4"), ("ip6", "6")):
            yield f"{_NEW} update @rated{version} {{ {family} saddr {over} }} goto stop_rate"
    yield f"{_NEW} counter name accept_internet"


def _output() -> Iterator[str]:
    """Yield the rules for what the node itself sends: only that of Docker is looked at."""
    yield "type filter hook output priority filter - 5; policy accept;"
    yield _KNOWN
    for level in _LEVELS:
        yield f"socket cgroupv2 level {level} @{GROUPS} goto from_docker"


def _from_docker(egress: Egress, around: Surroundings) -> Iterator[str]:
    """
    Yield the rules for what dockerd, containerd and BuildKit send for others.

    docker-proxy is in dockerd's group; without it nobody there needs a container.
    """
    yield "ct status dnat goto docker_translated"
    if "metadata" in egress.block:
        yield from _to((text for text in METADATA if text != LINK_LOCAL), "goto beyond_docker")
    for name in (*around.interfaces, *around.dockers):
        yield from _by_proxy(f'oifname "{name}"')
    for name in (*around.excluded, *around.foreign):
        yield f'oifname "{name}" goto beyond_docker'
    yield from _by_proxy(TO_BRIDGE)
    yield "goto beyond_docker"


def _by_proxy(to: str) -> Iterator[str]:
    for level in _LEVELS:
        yield f"{to} socket cgroupv2 level {level} @{PROXY} accept"


def _docker_translated(lists: _Lists) -> Iterator[str]:
    """
    Yield the rules for published ports, which are as open to Docker as to everybody.

    That is not so for those that are published on the loopback address, which dockerd without
    docker-proxy translates, too.
    """
    yield "ct original ip daddr != 127.0.0.0/8 accept"
    for item in lists.own():
        if item.network is None or isinstance(item.network, IPv4Network):
            yield from _translated(item)
    yield "meta nfproto ipv6 accept"
    yield "goto stop_node" if "node" in lists.egress.block else "accept"


def _translated(item: Allowed) -> Iterator[str]:
    to = f"ct original {_destination(item)[0]}"
    if not item.ports:
        yield f"{to} accept"
    for protocol, ports in _by_protocol(item.ports).items():
        yield f"{to} meta l4proto {protocol} ct original proto-dst {{ {ports} }} accept"


def _beyond_docker(egress: Egress, around: Surroundings, lists: _Lists) -> Iterator[str]:
    yield from _to(around.own_resolvers, f"{_ASKED} accept")
    yield f'oifname "lo" {_ASKED} accept'
    for protocol, ports in _by_protocol(SWARM_PORTS).items():
        yield f"fib daddr type unicast {protocol} dport {{ {ports} }} accept"
    for is_named in (False, True):
        yield from _everybodys(lists, is_named=is_named)
        yield from _allowed(lists.own(), "", is_named=is_named)
        if not is_named:
            yield from _destinations(egress)
    if "node" in egress.block:
        for protocol, ports in _by_protocol(egress.node_ports).items():
            yield f"fib daddr type local {protocol} dport {{ {ports} }} accept"
        yield "fib daddr type { local, broadcast, multicast } goto stop_node"
    if "private" in egress.block:
        yield from _to(PRIVATE, "goto stop_private")
    yield from _mail(egress)


def _everybodys(lists: _Lists, *, is_named: bool) -> Iterator[str]:
    for key, item in lists.everybodys().items():
        yield from _allowed((item,), f"accept_{key}", is_named=is_named)


def _allowed(items: Iterable[Allowed], counter: str, *, is_named: bool) -> Iterator[str]:
    for item in items:
        if is_named is (item.network is None):
            yield from _allow(item, f"counter name {counter} accept" if counter else "accept")


def _chain(app: str, *, is_named: bool) -> str:
    return f"to_names_of_{app}" if is_named else f"to_{app}"


def _mail(egress: Egress) -> Iterator[str]:
    if "smtp" in egress.block and egress.smtp_ports:
        ports = ", ".join(map(str, sorted(set(egress.smtp_ports))))
        yield f"tcp dport {{ {ports} }} goto stop_smtp"


def _destinations(egress: Egress) -> Iterator[str]:
    if "metadata" in egress.block:
        yield from _to(METADATA, "goto stop_metadata")
    yield from _to((*egress.deny, *translated(egress.deny)), "goto stop_deny")


def _to_node(egress: Egress) -> Iterator[str]:
    """Yield the rules for packets to the node itself. IPv6 needs ICMP to work: RFC 4890."""
    yield "meta l4proto { icmp, ipv6-icmp } accept"
    yield _control()
    yield f"{_ASKED} counter name accept_node_dns accept"
    for protocol, ports in _by_protocol(egress.node_ports).items():
        yield f"{protocol} dport {{ {ports} }} counter name accept_node accept"
    yield from _destinations(egress)
    if "node" in egress.block:
        verdict = "accept" if egress.only_reports else "drop"
        counter = f"counter name {_dropping(egress)}_node"
        yield f"meta pkttype {{ broadcast, multicast }} {counter} {verdict}"
        yield "goto stop_node"


def _to(addresses: Iterable[str], verdict: str) -> Iterator[str]:
    """Yield one rule for each IP version. nft refuses a set with overlapping members."""
    found = [network(text) for text in addresses]
    fours = collapse_addresses(item for item in found if isinstance(item, IPv4Network))
    sixes = collapse_addresses(item for item in found if isinstance(item, IPv6Network))
    for family, members in (("ip", map(_short, fours)), ("ip6", map(_short, sixes))):
        if items := ", ".join(members):
            yield f"{family} daddr {{ {items} }} {verdict}"


def _allow(allowed: Allowed, verdict: str) -> Iterator[str]:
    for to in _destination(allowed):
        if not allowed.ports:
            yield f"{to} {verdict}"
        for protocol, ports in _by_protocol(allowed.ports).items():
            yield f"{to} {protocol} dport {{ {ports} }} {verdict}"


def _destination(allowed: Allowed) -> tuple[str, ...]:
    found = allowed.network
    if found is None:
        key = name_set(allowed.to)
        return tuple(f"{family} daddr @{key}_{v}" for family, v in (("ip", "4"), ("ip6", "6")))
    return (f"{'ip' if isinstance(found, IPv4Network) else 'ip6'} daddr {_short(found)}",)


def _by_protocol(texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, list[tuple[int, int]]] = {}
    for text in texts:
        first, last, protocol = port_range(text)
        found.setdefault(protocol, []).append((first, last))
    return {protocol: _merged(ranges) for protocol, ranges in sorted(found.items())}


def _merged(ranges: list[tuple[int, int]]) -> str:
    """Merge overlapping ranges, because nft refuses them in a set."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in merged)


def _short(found: Network) -> str:
    """Return a network of one address as the address alone."""
    return str(found.network_address) if found.num_addresses == 1 else str(found)
