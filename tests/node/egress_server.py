"""
What answers beyond a node's firewall, on it and in its containers. Sent to nodes as text: there it
has ``python3-minimal`` only.

+ ``tcp/80``: says hello on every address
+ ``udp/10.9.9.9/5000``: gives back what it is sent
+ ``dns/10.9.9.53/10.0.0.53``: knows ``outside.test``, asks the other one for the rest
"""

import socket
import sys
import threading
from collections.abc import Callable

NAME = b"\x07outside\x04test\x00"
ADDRESS = "203.0.113.9"
LENGTH_MAX = 4096
HEAD = 12  # RFC 1035, 4.1.1
TYPE_A = b"\x00\x01"


def tcp(port: str) -> None:
    listening = socket.create_server(
        ("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=200
    )
    while True:
        connection, _ = listening.accept()
        connection.sendall(b"hello\n")
        connection.close()


def udp(address: str, port: str) -> None:
    served = bound(address, int(port))
    while True:
        said, who = served.recvfrom(LENGTH_MAX)
        served.sendto(said, who)


def dns(address: str, upstream: str) -> None:
    served = bound(address, 53)
    while True:
        query, who = served.recvfrom(LENGTH_MAX)
        if NAME in query:
            served.sendto(answer(query), who)
        else:
            threading.Thread(target=ask, args=(served, query, who, upstream)).start()


def answer(query: bytes) -> bytes:
    end = query.index(NAME) + len(NAME) + 4
    is_known = query[end - 4 : end - 2] == TYPE_A
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04" + socket.inet_aton(ADDRESS)
    counts = b"\x00\x01" + (b"\x00\x01" if is_known else b"\x00\x00") + b"\x00\x00\x00\x00"
    head = query[:2] + b"\x81\x80" + counts
    return head + query[HEAD:end] + (record if is_known else b"")


def ask(served: socket.socket, query: bytes, who: tuple[str, int], upstream: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(10)
        asking.sendto(query, (upstream, 53))
        try:
            served.sendto(asking.recv(LENGTH_MAX), who)
        except TimeoutError:
            return  # who has asked asks again


def bound(address: str, port: int) -> socket.socket:
    """Bind to one address: a socket on all addresses would answer from another one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    served = socket.socket(family, socket.SOCK_DGRAM)
    served.bind((address, port))
    return served


KINDS: dict[str, Callable[..., None]] = {"tcp": tcp, "udp": udp, "dns": dns}

if __name__ == "__main__":
    for text in sys.argv[1:]:
        kind, *arguments = text.split("/")
        threading.Thread(target=KINDS[kind], args=arguments).start()
