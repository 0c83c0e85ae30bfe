"""
What answers in the tests of names. Sent to nodes and containers as text.

+ ``hello/red-runc``: says who it is, on port 80 of every address
+ ``dns/10.9.9.53/203.0.113.9``: knows ``outside.test`` and ``www.outside.test`` by that address,
  and ``large.test`` by more text than a packet holds
"""

import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable

HEAD = 12  # RFC 1035, 4.1.1
PLAIN, LENGTH_MAX = 512, 65535
A, TXT = 1, 16
TRUNCATED, UNKNOWN = 0x0200, 3
TEXTS = 30
BROKEN = (IndexError, struct.error)  # a query that is none has no answer


def hello(name: str) -> None:
    listening = socket.create_server(
        ("", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=200
    )
    while True:
        connection, _ = listening.accept()
        connection.sendall(name.encode())
        connection.close()


def dns(address: str, known: str) -> None:
    listening = socket.create_server((address, 53), backlog=200)
    threading.Thread(target=streams, args=(listening, known)).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind((address, 53))
        while True:
            query, who = served.recvfrom(LENGTH_MAX)
            with contextlib.suppress(*BROKEN):
                said = answer(query, known)
                if len(said) > room(query):
                    said = answer(query, known, is_cut=True)
                served.sendto(said, who)


def streams(listening: socket.socket, known: str) -> None:
    while True:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(*BROKEN, ConnectionError):
            query = connection.recv(LENGTH_MAX)[2:]
            said = answer(query, known)
            connection.sendall(len(said).to_bytes(2, "big") + said)


def answer(query: bytes, known: str, *, is_cut: bool = False) -> bytes:
    name, end = question(query)
    (kind,) = struct.unpack_from(">H", query, end - 4)
    records: list[bytes] = []
    code = 0
    if name in ("outside.test", "www.outside.test"):
        records = [record(A, socket.inet_aton(known))] if kind == A else []
    elif name == "large.test":
        texts = (f"{number:02} {'x' * 97}".encode() for number in range(TEXTS))
        records = [record(TXT, b"\x64" + text) for text in texts] if kind == TXT else []
    else:
        code = UNKNOWN
    if is_cut:
        records, code = [], TRUNCATED
    head = struct.pack(">5H", 0x8180 | code, 1, len(records), 0, 0)
    return query[:2] + head + query[HEAD:end] + b"".join(records)


def record(kind: int, data: bytes) -> bytes:
    return struct.pack(">3HIH", 0xC00C, kind, 1, 1, len(data)) + data


def question(query: bytes) -> tuple[str, int]:
    labels, at = [], HEAD
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    return ".".join(labels), at + 5


def room(query: bytes) -> int:
    """Return the bytes allowed in an answer over UDP: RFC 6891, 6.1.2."""
    _, end = question(query)
    has_edns = query[10:12] != b"\x00\x00" and query[end : end + 3] == b"\x00\x00\x29"
    return int.from_bytes(query[end + 3 : end + 5], "big") if has_edns else PLAIN


KINDS: dict[str, Callable[..., None]] = {"hello": hello, "dns": dns}

if __name__ == "__main__":
    for text in sys.argv[1:]:
        kind, *arguments = text.split("/")
        threading.Thread(target=KINDS[kind], args=arguments).start()
