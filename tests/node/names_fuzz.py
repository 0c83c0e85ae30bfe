"""
Sends a resolver what no program would, drawn at random from a seed. Sent into containers as text;
what came of it is one line of JSON.

+ ``udp 4711 3000 169.254.53.53``: so many datagrams, to each resolver that is named
+ ``tcp 4711 300 169.254.53.53``: so many connections, of which many are open at a time
+ ``most 4711 6000 169.254.53.53``: so many queries of the largest kind, for names that nobody has
"""

import contextlib
import errno
import json
import random
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

NAMES = ("red-runc", "red-gvisor-too", "nobody", "www.outside.test", "large.test", "a" * 63)
TYPES = (1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 251, 252, 255, 65535)
LARGEST = 65507  # of UDP over IPv4
LARGEST_QUERY = 1232  # that the resolver takes
PAUSE_S = 0.0005
EDNS = b"\x00\x00\x29\xff\xff\x00\x00\x80\x00\x00\x00"
AT_ONCE = 48  # connections: more than one container may have
TIMEOUT_S, QUIET_S = 3, 0.5
LINGER = struct.pack("ii", 1, 0)  # a connection is reset when it is closed


def query(draw: random.Random) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode()
                      for label in draw.choice(NAMES).split("."))  # fmt: skip
    has_edns = draw.random() < 0.5
    head = struct.pack(">6H", draw.getrandbits(16), 0x0100, 1, 0, 0, has_edns)
    asked = struct.pack(">BHH", 0, draw.choice(TYPES), draw.choice((1, 1, 3, 255)))
    return head + labels + asked + (EDNS if has_edns else b"")


def noise(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randrange(600))


def cut(draw: random.Random) -> bytes:
    whole = query(draw)
    return whole[: draw.randrange(len(whole))]


def grown(draw: random.Random) -> bytes:
    return query(draw) + draw.randbytes(draw.randrange(1, 4500))


def large(draw: random.Random) -> bytes:
    return query(draw) + bytes(draw.randrange(4000, LARGEST - 400))


def changed(draw: random.Random) -> bytes:
    message = bytearray(query(draw))
    for _ in range(draw.randrange(1, 9)):
        message[draw.randrange(len(message))] = draw.getrandbits(8)
    return bytes(message)


def named(draw: random.Random) -> bytes:
    """Return a name of random bytes, sometimes too long, or one that is a pointer."""
    labels = b"".join(
        bytes([length]) + draw.randbytes(length)
        for length in (draw.randrange(1, 64) for _ in range(draw.randrange(1, 9)))
    )
    pointer = struct.pack(">H", 0xC000 | draw.randrange(40))
    end = draw.choice((b"\0", b"\0", pointer, b"\x40", b""))
    return query(draw)[:12] + labels + end + struct.pack(">HH", 1, 1)


def answer(draw: random.Random) -> bytes:
    message = bytearray(query(draw))
    message[2] |= 0x80
    return bytes(message) + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + draw.randbytes(4)


def counts(draw: random.Random) -> bytes:
    return query(draw)[:4] + draw.randbytes(8) + query(draw)[12:]


MESSAGES: tuple[Callable[[random.Random], bytes], ...] = (
    *(query, noise, cut, grown, large, changed, changed, named, named, answer, counts),
)


def length(message: bytes) -> bytes:
    return struct.pack(">H", min(len(message), 65535))


def framed(draw: random.Random) -> bytes:
    message = draw.choice(MESSAGES)(draw)
    return length(message) + message


def wrong(draw: random.Random) -> bytes:
    return draw.randbytes(2) + draw.choice(MESSAGES)(draw)


def half(draw: random.Random) -> bytes:
    whole = framed(draw)
    return whole[: draw.randrange(len(whole))]


def many(draw: random.Random) -> bytes:
    queries = (query(draw) for _ in range(draw.randrange(2, 12)))
    return b"".join(length(message) + message for message in queries)


STREAMS: tuple[Callable[[random.Random], bytes], ...] = (
    *(framed, framed, wrong, wrong, half, half, many, noise, lambda _: b"", lambda _: b"\0\0"),
)


def udp(draw: random.Random, count: int, server: str) -> Counter[str]:
    came: Counter[str] = Counter()
    with socket.socket(family(server), socket.SOCK_DGRAM) as asking:
        asking.connect((server, 53))
        asking.settimeout(TIMEOUT_S)
        for _ in range(count):
            message = draw.choice(MESSAGES)(draw)
            came[tried(asking.send, message)] += 1
            while word := heard(asking, 0):
                came[word] += 1
        while word := heard(asking, TIMEOUT_S):
            came[word] += 1
    return came


def most(draw: random.Random, count: int, server: str) -> Counter[str]:
    came: Counter[str] = Counter()
    with socket.socket(family(server), socket.SOCK_DGRAM) as asking:
        asking.connect((server, 53))
        for number in range(count):
            name = f"{draw.getrandbits(64):016x}".encode()
            head = struct.pack(">6HB", number & 0xFFFF, 0x0100, 1, 0, 0, 0, len(name))
            message = head + name + struct.pack(">BHH", 0, 1, 1)
            came[tried(asking.send, message.ljust(LARGEST_QUERY, b"\0"))] += 1
            time.sleep(PAUSE_S)
    return came


def heard(asking: socket.socket, within_s: float) -> str:
    """Return what has arrived; empty if nothing."""
    readable, _, _ = select.select([asking], [], [], within_s)
    if not readable:
        return ""
    try:
        return "answered" if asking.recv(65535) else "closed"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def tcp(draw: random.Random, count: int, server: str) -> Counter[str]:
    came: Counter[str] = Counter()
    for first in range(0, count, AT_ONCE):
        with contextlib.ExitStack() as stack:
            opened = []
            for _ in range(min(AT_ONCE, count - first)):
                asking = stack.enter_context(socket.socket(family(server), socket.SOCK_STREAM))
                asking.settimeout(TIMEOUT_S)
                if draw.random() < 0.5:
                    asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                stream = draw.choice(STREAMS)(draw)
                came[tried(asking.connect, (server, 53))] += 1
                came[tried(asking.sendall, stream)] += 1
                opened.append(asking)
            hear(opened[::2], came)
    return came


def hear(opened: list[socket.socket], came: Counter[str]) -> None:
    """Return what arrives until it is quiet; wait longer for the first answer."""
    while opened:
        within_s = QUIET_S if came["answered"] else TIMEOUT_S
        readable, _, _ = select.select(opened, [], [], within_s)
        if not readable:
            return
        for asking in readable:
            came[heard(asking, 0)] += 1
            opened.remove(asking)


def tried(job: Callable[..., object], argument: object) -> str:
    try:
        job(argument)
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return job.__name__


def family(server: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server else socket.AF_INET


KINDS = {"udp": udp, "tcp": tcp, "most": most}

if __name__ == "__main__":
    kind, seed, number, *servers = sys.argv[1:]
    json.dump(
        {
            to: dict(KINDS[kind](random.Random(f"{seed} {to}"), int(number), to))  # noqa: S311
            for to in servers
        },
        sys.stdout,
    )
