"""
Tells containers when an address of their network has come to another hardware address.

From Docker 28 on a container has a new one at every start. gVisor's stack keeps what it knows of a
neighbour for about half a minute, and does not listen to what Docker announces: it reads a request
of ARP only if it is asked for itself (google/gvisor, pkg/tcpip/network/arp/arp.go). So it is asked.
By IPv6 it hears what Docker announces.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping

from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import Source

REMEMBERED = 8192  # addresses, of those too that nobody has now
_ARP = 0x0806  # linux/if_ether.h, ETH_P_ARP
_HEAD = (1, 0x0800, 6, 4, 1)  # RFC 826: a request, of Ethernet for IPv4


class Neighbours:
    """The hardware addresses that were last seen, by bridge and address."""

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
        """Keep to what Docker has now, and tell what is another one than before."""
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
                    # packet(7); what is 0 here is not read.
                    where = (peer.bridge, _ARP, 0, 0, _mac(peer))
                    sending.sendto(request(peer, source), where)
        except (OSError, ValueError) as error:
            self._diagnostics.tell(f"neighbours of {moved[0].who}: {error!r}")

    def _is_moved(self, source: Source) -> bool:
        if ":" in source.address:
            return False
        key = source.bridge, source.address
        before = self._known.pop(key, source.mac)
        self._known[key] = source.mac  # the last one is who was seen last
        return before != source.mac


def request(peer: Source, source: Source) -> bytes:
    """The packet in which a peer is asked for itself in the name of a source."""
    return struct.pack(
        ">HHBBH6s4s6s4s",
        *_HEAD,
        *(_mac(source), socket.inet_aton(source.address)),
        *(b"", socket.inet_aton(peer.address)),
    )


def _mac(source: Source) -> bytes:
    return bytes.fromhex(source.mac.replace(":", ""))
