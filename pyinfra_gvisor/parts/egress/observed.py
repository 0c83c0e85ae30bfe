"""Read what the firewall has counted, and the attempts that it has blocked, or would have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.parts.egress.host_network import matches
from pyinfra_gvisor.parts.egress.rules import NAME
from pyinfra_gvisor.parts.egress.settings import METADATA, network

# https://www.iana.org/assignments/protocol-numbers
WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
WITHOUT_PORTS = {1: "icmp", 2: "igmp", 4: "ipip", 41: "ipv6", 47: "gre", 50: "esp", 58: "icmpv6"}

_METADATA = tuple(network(text) for text in METADATA)
_STOPPED, _FIRST = ("stopped4", "stopped6"), ("first4", "first6")
_FROM = re.compile(r'(?:iifname "([^"]+)"|meta iifkind "bridge") (accept|\w+ from_containers)')


class Attempt(Reading):
    """
    A blocked attempt to reach a destination. ``port`` is 0 for a protocol without ports.

    ``at_s`` is the time of the last attempt, in seconds since 1970, by the node's clock. Rules that
    only report also tell the time of the first one, ``since_s``, and the number of ``packets``.
    """

    source: str
    destination: str
    protocol: str
    port: int
    at_s: float
    since_s: float | None = None
    packets: int | None = None

    @property
    def to(self) -> str:
        """Return ``10.0.0.5:5432/tcp``, ``[fd00::1]:53/udp`` or ``10.0.0.5/icmp``."""
        if not self.port:
            return f"{self.destination}/{self.protocol}"
        host = f"[{self.destination}]" if ":" in self.destination else self.destination
        return f"{host}:{self.port}/{self.protocol}"

    def without_others(self, began_s: float) -> Attempt:
        """Return it without what another one with this address has tried before a time."""
        if self.since_s is None or self.since_s >= began_s:
            return self
        return self.model_copy(update={"since_s": None, "packets": None})

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells it from others: without ports, nft lists several."""
        return self.source, self.to

    @property
    def is_metadata(self) -> bool:
        """Return True if the destination is a metadata service of a cloud."""
        to = ip_address(self.destination)
        return any(to in services for services in _METADATA)

    @property
    def rank(self) -> tuple[bool, int, int, int, str]:
        """Return a sort key: metadata services first, then by address and port."""
        to = ip_address(self.destination)
        return (not self.is_metadata, to.version, int(to), self.port, self.protocol)


class Counted(Reading):
    """
    The counters and the remembered attempts of the table in the kernel.

    ``counters`` count since the rules were loaded: ``accept_…`` new connections, others packets.
    ``is_full``: a set of attempts is full, so further attempts were not remembered. ``loaded_s``:
    when the rules were loaded, in seconds since 1970. ``only_reports``: they block nothing.
    ``own``: the node's addresses, from which only Docker's own attempts come.
    """

    counters: dict[str, int] = Field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    is_full: bool = False
    loaded_s: float | None = None
    only_reports: bool = False
    own: tuple[str, ...] = ()


def read(lines: Sequence[str]) -> Counted:
    """
    Parse the output of ``observed.sh``: per line the node's time, and nft's list as JSON.

    The form is of libnftables-json(5). Raises ``ValueError``, ``LookupError``, ``TypeError`` or
    ``AttributeError`` if it is malformed.
    """
    counters: dict[str, int] = {}
    attempts: dict[tuple[str, str], Attempt] = {}
    since: dict[tuple[str, str], float] = {}
    is_full, only_reports = False, False
    told = [line.partition(" ")[::2] for line in lines]
    for now_s, document in told:
        if now_s in ("loaded", "own"):
            continue
        for item in json.loads(document)["nftables"]:
            if found := _ours(item.get("counter")):
                counters[found["name"]] = int(found["packets"])
            found = _ours(item.get("set"))
            only_reports = only_reports or bool(found and found["name"] in _FIRST)
            if found and found["name"] in (*_STOPPED, *_FIRST):
                elements = found.get("elem") or ()
                is_full = is_full or len(elements) >= found["size"]
                for attempt in _attempts(elements, found["timeout"], float(now_s)):
                    if found["name"] in _STOPPED:
                        _keep_latest(attempts, attempt)
                    else:
                        since.setdefault(attempt.key, attempt.at_s)
    known = (item.model_copy(update={"since_s": since.get(key)}) for key, item in attempts.items())
    return Counted(
        counters=counters,
        attempts=tuple(known),
        is_full=is_full,
        loaded_s=next((float(text) for kind, text in told if kind == "loaded"), None),
        only_reports=only_reports,
        own=tuple(text for kind, text in told if kind == "own"),
    )


def is_covered(rules: str, bridge: str) -> bool:
    """Return True if the rules filter packets from a bridge; the first matching line decides."""
    verdicts = (
        verdict for name, verdict in _FROM.findall(rules) if not name or matches(bridge, (name,))
    )
    return next(verdicts, "accept") != "accept"


def listed(texts: Iterable[str], limit: int, between: str = ", ") -> str:
    """Return ``a, b and 3 more``, with at most ``limit`` texts."""
    items = list(texts)
    shown = between.join(items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown


def _ours(found: Any) -> Any:
    return found if found and found["table"] == NAME else None


def _attempts(elements: Iterable[Any], timeout_s: int, now_s: float) -> Iterator[Attempt]:
    for item in elements:
        element = item["elem"]
        source, destination, number, port = element["val"]["concat"]
        protocol = WITH_PORTS.get(number)
        yield Attempt(
            source=source,
            destination=destination,
            protocol=protocol or WITHOUT_PORTS.get(number) or f"protocol {number}",
            port=port if protocol else 0,  # In ICMP, this field is a checksum.
            at_s=now_s - (element.get("timeout", timeout_s) - element["expires"]),
            packets=(element.get("counter") or {}).get("packets"),
        )


def _keep_latest(attempts: dict[tuple[str, str], Attempt], new: Attempt) -> None:
    """Keep one attempt of each source and destination."""
    if new.key not in attempts or attempts[new.key].at_s < new.at_s:
        attempts[new.key] = new
