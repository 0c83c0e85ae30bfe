"""
Tell containers when an address in their network has moved to another hardware address.

From Docker 28 on, a container has a new hardware address at every start. gVisor's stack caches a
neighbour for about 30 s and ignores Docker's announcements: it reads an ARP request only if the
request asks for its own address (google/gvisor, pkg/tcpip/network/arp/arp.go). So this module sends
such requests. With IPv6, gVisor does read Docker's announcements.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping

from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import Source

REMEMBERED = 8192  # addresses, also of containers that have ended
_ARP = 0x0806  # linux/if_ether.h, ETH_P_ARP
_HEAD = (1, 0x0800, 6, 4, 1)  # RFC 826: a request, Ethernet and IPv4


class Neighbours:
    """The last seen hardware addresses, by bridge and address."""

    def __init__(
        self,
        diagnostics: Diagnostics,
        opened: Callable[[], socket.socket] = lambda: socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
        ),
    ) -> None:
        self._diagnostics, self._opened = diagnostics, opened
        self._known: dict[tuple[str, str], str] = {}

    def update(self, sources: Mapping[str, Source]) -> None:
        """Take over Docker's current addresses, and tell the peers of those that have moved."""
        moved = [source for source in sources.values() if self._is_moved(source)]
        for key in [*self._known][:-REMEMBERED]:
            del self._known[key]
        told = [
            (peer, source)
            for source in moved
            for peer in sources.values()
            if peer.bridge == source.bridge and peer is not source and ":" not in peer.address
        ]
        if not told:
            return
        try:
            with self._opened() as sending:
                for peer, source in told:
                    # packet(7): the kernel does not read the fields that are 0 here.
                    where = (peer.bridge, _ARP, 0, 0, _mac(peer))
                    sending.sendto(request(peer, source), where)
        except (OSError, ValueError) as error:
            self._diagnostics.tell(f"neighbours of {moved[0].who}: {error!r}")

    def _is_moved(self, source: Source) -> bool:
        if ":" in source.address:
            return False
        key = source.bridge, source.address
        before = self._known.pop(key, source.mac)
        self._known[key] = source.mac  # The last key is the one seen last.
        return before != source.mac


def request(peer: Source, source: Source) -> bytes:
    """Return the ARP request that asks a peer for its own address, sent as from ``source``."""
    return struct.pack(
        ">HHBBH6s4s6s4s",
        *_HEAD,
        *(_mac(source), socket.inet_aton(source.address)),
        *(b"", socket.inet_aton(peer.address)),
    )


def _mac(source: Source) -> bytes:
    return bytes.fromhex(source.mac.replace(":", ""))
