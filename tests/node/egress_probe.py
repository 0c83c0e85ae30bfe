"""
Tries to reach what it is told, all at once, and prints what came of it, a line each. Sent into
containers as text: there it has ``python3-minimal`` only.

+ ``tcp/203.0.113.9/80``: ``reached`` if it is said hello to, else the error's name
+ ``udp/203.0.113.9/5000``: the same for a datagram that comes back
+ ``dns/10.9.9.53``: the same for a resolver that is asked for ``outside.test``
+ ``name/outside.test``: the addresses that it has

The kernel sends a container six refusals in a row, and then one a second (``icmp_ratelimit``,
icmp(7)), so that what is refused may have to be tried again.
"""

import errno
import socket
import sys
import threading
from collections.abc import Callable

TIMEOUT_S = 8  # the kernel tries again after 1, 3 and 7 s
QUERY = b"12\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07outside\x04test\x00\x00\x01\x00\x01"


def tcp(host: str, port: str) -> str:
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        return "reached" if connection.recv(4) else "closed"


def udp(host: str, port: str, said: bytes = b"hello") -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.connect((host, int(port)))
        for _ in range(TIMEOUT_S):
            asking.send(said)
            try:
                return "reached" if asking.recv(512)[:2] == said[:2] else "something else"
            except TimeoutError:
                continue
    return "timeout"


def dns(host: str) -> str:
    return udp(host, "53", QUERY)


def name(host: str) -> str:
    found = socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)
    return ",".join(sorted(str(address[0]) for *_, address in found))


KINDS: dict[str, Callable[..., str]] = {"tcp": tcp, "udp": udp, "dns": dns, "name": name}


def tried(text: str) -> str:
    kind, *arguments = text.split("/")
    try:
        return KINDS[kind](*arguments)
    except TimeoutError:
        return "timeout"
    except socket.gaierror:
        return "unknown"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def told(text: str) -> None:
    sys.stdout.write(f"{text} {tried(text)}\n")


if __name__ == "__main__":
    threads = [threading.Thread(target=told, args=(text,)) for text in sys.argv[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
