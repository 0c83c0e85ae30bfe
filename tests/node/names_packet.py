"""
Sends one query for ``red-runc`` as a packet with any source address, and counts the answers that
come to this container or node. Sent there as text.

+ ``172.31.1.1 172.31.2.2``: by that neighbour, from that address; ``-`` sends nothing
"""

import socket
import struct
import sys
import time
from pathlib import Path

RESOLVER, PORT = "169.254.53.53", 4053
WAIT_S = 4
IPV4 = 0x0800
QUERY = b"12\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08red-runc\x00\x00\x01\x00\x01"


def packet(source: str) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton(RESOLVER)
    datagram = struct.pack(">4H", PORT, 53, 8 + len(QUERY), 0) + QUERY  # without a checksum
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17)
    total = sum(struct.unpack(">9H", head + addresses))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return head + checksum.to_bytes(2, "big") + addresses + datagram


def neighbour(address: str) -> bytes:
    """Return a neighbour's hardware address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(b"", (address, 9))
    time.sleep(1)
    lines = Path("/proc/net/arp").read_text(encoding="utf-8").splitlines()
    found = next(line.split()[3] for line in lines if line.startswith(f"{address} "))
    return bytes.fromhex(found.replace(":", ""))


def answers(listening: socket.socket) -> int:
    count = 0
    end_s = time.monotonic() + WAIT_S
    while (left_s := end_s - time.monotonic()) > 0:
        listening.settimeout(left_s)
        try:
            frame = listening.recv(4096)
        except TimeoutError:
            break
        ports = struct.pack(">2H", 53, PORT)
        count += frame[26:30] == socket.inet_aton(RESOLVER) and frame[34:38] == ports
    return count


def main(hop: str, source: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4)) as opened:
        opened.bind(("eth0", IPV4))
        if source != "-":
            own = opened.getsockname()[4]
            opened.send(neighbour(hop) + own + IPV4.to_bytes(2, "big") + packet(source))
        sys.stdout.write(f"{answers(opened)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
