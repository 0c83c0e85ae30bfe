"""Where a packet goes by the text of the rules, as the kernel would have it: nft(8)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from pyinfra_gvisor.parts.egress.host_network import Surroundings, matches
from pyinfra_gvisor.parts.egress.rules import name_set, rules_text
from tests.unit.egress.egress_states import egress

_HEAD = re.compile(r"(chain|set) (\w+) \{")
_COUNTER = re.compile(r"counter (\w+) \{ \}")


@dataclass(frozen=True)
class Packet:
    """
    A packet of a container's, the first of its connection unless it is ``known``, or a later one of
    a flow that is ``unanswered``. What the node sends is of units whose group is in ``groups``.
    """

    to: str
    port: int = 443
    protocol: str = "tcp"
    iif: str = "docker0"
    oif: str = "eth0"
    hook: str = "forward"
    kind: str = "unicast"
    known: bool = False
    unanswered: bool = False
    control: bool = False
    flood: bool = False
    groups: tuple[str, ...] = ()
    asked: str = ""
    asked_port: int = 0
    own: bool = False
    named: str = ""
    app: str = ""

    @property
    def family(self) -> str:
        """As nft calls it."""
        return "ip6" if ":" in self.to else "ip"


@dataclass
class Went:
    """What became of a packet, what counted it and which sets remember it."""

    verdict: str = "accept"
    counters: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)


class Table:
    """The rules of a text by chain, and what it declares."""

    def __init__(self, text: str) -> None:
        self.chains: dict[str, list[str]] = {}
        self.sets: dict[str, list[str]] = {}
        self.counters: list[str] = []
        lines: list[str] | None = None
        for line in map(str.strip, text.splitlines()):
            if head := _HEAD.fullmatch(line):
                kind = self.chains if head[1] == "chain" else self.sets
                assert head[2] not in kind, f"{line} is there twice"
                lines = kind.setdefault(head[2], [])
            elif counter := _COUNTER.fullmatch(line):
                self.counters.append(counter[1])
            elif line == "}":
                lines = None
            elif lines is not None:
                lines.append(line)

    @property
    def rules(self) -> list[str]:
        """All of them."""
        return [line for lines in self.chains.values() for line in lines]

    def send(self, packet: Packet) -> Went:
        """What becomes of it."""
        went = Went()
        went.verdict = self._chain(packet.hook, packet, went) or "accept"
        return went

    def _chain(self, name: str, packet: Packet, went: Went) -> str | None:
        for line in self.chains[name]:
            if line.startswith("type filter hook"):
                continue
            verdict, ends = self._rule(line, packet, went)
            if verdict or ends:
                return verdict
        return None

    def _rule(self, line: str, packet: Packet, went: Went) -> tuple[str | None, bool]:
        """The verdict, and whether the chain is left without one."""
        rest = line
        while rest:
            word, found = _next(rest)
            rest = rest[found.end() :].lstrip()
            if word in _MATCHES:
                if not _MATCHES[word](packet, found):
                    return None, False
            elif word == "update":
                if packet.family != found[2]:
                    return None, False
                went.sets.append(found[1])
            elif word == "counter":
                went.counters.append(found[1])
            elif word in ("jump", "goto"):
                return self._chain(found[1], packet, went), word == "goto"
            elif word in ("accept", "drop", "reject"):
                return word, True
        return None, False


def rules_of(around: Surroundings | None = None, /, **settings: Any) -> Table:
    """The rules of these settings."""
    return Table(rules_text(egress(**settings), around or Surroundings()))


def went(packet: Packet, around: Surroundings | None = None, /, **settings: Any) -> Went:
    """Where a packet goes by the rules of these settings."""
    return rules_of(around, **settings).send(packet)


def to_node(to: str = "203.0.113.7", port: int = 22, **changes: Any) -> Packet:
    """A packet for one of the node's own addresses."""
    return Packet(to, port, hook="input", **changes)


def from_docker(to: str, port: int = 443, **changes: Any) -> Packet:
    """What a dockerd with docker-proxy sends."""
    mine: dict[str, Any] = {"groups": ("docker", "docker_proxy"), "hook": "output", "iif": ""}
    return Packet(to, port, **{**mine, **changes})


def members(text: str) -> list[str]:
    """The members of a set that is written out."""
    return [item.strip() for item in text.split(",")]


def _next(rest: str) -> tuple[str, re.Match[str]]:
    for word, pattern in _WORDS.items():
        if found := re.match(pattern + r"(?= |$)", rest):
            return word, found
    raise AssertionError(f"what is this: {rest}")


def _in_range(port: int, text: str) -> bool:
    first, _, last = text.partition("-")
    return int(first) <= port <= int(last or first)


def _is_bridge(name: str) -> bool:
    """Return the kind that these tests mean: all but hardware, loopback, tunnels and VLANs."""
    return not re.match(r"(eth|wg|cali)\d|lo$|.*\.\d+$", name)


_WORDS = {
    "iifname": r'iifname "([^"]+)"',
    "app": r"iifname @(\w+)",
    "oifname": r'oifname "([^"]+)"',
    "iifkind": r'meta iifkind "bridge"',
    "oifkind": r'meta oifkind "bridge"',
    "daddr": r"(ip6?) daddr (?:\{ ([^}]+) \}|([^@ ]+))",
    "dport": r"(tcp|udp|th) dport (?:\{ ([^}]+) \}|(\d+))",
    "l4proto": r"meta l4proto \{ ([^}]+) \}",
    "pkttype": r"meta pkttype \{ ([^}]+) \}",
    "known": r"ct state established,related",
    "translated": r"ct status dnat",
    "asked": r"ct original (ip6?) daddr (!= )?([^@ ]+)",
    "asked_name": r"ct original (ip6?) daddr @\w+",
    "asked_port": r"ct original proto-dst \{ ([^}]+) \}",
    "version": r"meta nfproto ipv6",
    "protocol": r"meta l4proto (tcp|udp)",
    "group": r"socket cgroupv2 level \d @(\w+)",
    "kind": r"fib daddr type (unicast|local|\{ local, broadcast, multicast \})",
    "named": r"(ip6?) daddr @(name_\w+)_([46])",
    "new": r"ct state new ct status & confirmed == 0",
    "control": r"ip saddr @controls4",
    "flood": r"update @(rated[46]) \{ (ip6?) saddr limit rate over \S+ burst \d+ packets \}",
    "update": r"(?:update|add) @(\w+) \{ (ip6?) saddr [^}]+ \}",
    "counter": r"counter name (\w+)",
    "limit": r"limit rate \d+/minute burst \d+ packets",
    "log": r'log prefix "[^"]+" level info',
    "reject": r"reject with icmpx admin-prohibited",
    "jump": r"jump (\w+)",
    "goto": r"goto (\w+)",
    "accept": "accept",
    "drop": "drop",
}

_MATCHES: Mapping[str, Callable[[Packet, re.Match[str]], bool]] = {
    "app": lambda packet, found: packet.app == found[1],
    "iifname": lambda packet, found: matches(packet.iif, (found[1],)),
    "oifname": lambda packet, found: matches(packet.oif, (found[1],)),
    "iifkind": lambda packet, _: _is_bridge(packet.iif),
    "oifkind": lambda packet, _: _is_bridge(packet.oif),
    "daddr": lambda packet, found: (
        packet.family == found[1]
        and any(ip_address(packet.to) in ip_network(item) for item in members(found[2] or found[3]))
    ),
    "dport": lambda packet, found: (
        found[1] in ("th", packet.protocol)
        and any(_in_range(packet.port, item) for item in members(found[2] or found[3]))
    ),
    "l4proto": lambda packet, found: packet.protocol in members(found[1]),
    "pkttype": lambda packet, found: packet.kind in members(found[1]),
    "known": lambda packet, _: packet.known,
    "translated": lambda packet, _: packet.asked != "",
    "asked": lambda packet, found: (
        (ip_address(packet.asked) in ip_network(found[3])) is (found[2] is None)
    ),
    "asked_name": lambda _packet, _found: False,
    "asked_port": lambda packet, found: any(
        _in_range(packet.asked_port, item) for item in members(found[1])
    ),
    "version": lambda packet, _: packet.family == "ip6",
    "protocol": lambda packet, found: packet.protocol == found[1],
    "group": lambda packet, found: found[1] in packet.groups,
    "kind": lambda packet, found: ("local" if packet.own else packet.kind) in found[1],
    "named": lambda packet, found: packet.family == found[1] and name_set(packet.named) == found[2],
    "new": lambda packet, _: not packet.known and not packet.unanswered,
    "control": lambda packet, _: packet.family == "ip" and packet.control,
    "flood": lambda packet, found: packet.family == found[2] and packet.flood,
}
