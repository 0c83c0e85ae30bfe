"""
Asks what it is told, several at once, and prints what came of it, a line each. Sent into containers
as text.

+ ``name/red-runc``, ``name6/red-runc``: the addresses that it has
+ ``tcp/red-runc/80``, ``tcp6/red-runc/80``: what is said by who is reached by that name
+ ``back/172.31.1.2``: the name that an address has
+ ``ask/udp/large.test``: what the first resolver of ``resolv.conf`` says of its text, by ``udp``,
  ``edns`` (which is UDP with a larger buffer) or ``tcp``; another resolver if it is named behind it
"""

import errno
import socket
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TIMEOUT_S = 10
AT_ONCE = 8
TXT = 16
TRUNCATED = 0x0200
WORDS = {socket.EAI_NONAME: "unknown", socket.EAI_NODATA: "unknown", socket.EAI_AGAIN: "failed"}


def name(host: str, family: int = socket.AF_INET) -> str:
    found = socket.getaddrinfo(host, 80, family, socket.SOCK_STREAM)
    return ",".join(sorted(str(address[0]) for *_, address in found))


def name6(host: str) -> str:
    return name(host, socket.AF_INET6)


def tcp(host: str, port: str, family: int = socket.AF_INET) -> str:
    found = socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM)
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(found[0][4])
        return connection.recv(100).decode().strip() or "nothing"


def tcp6(host: str, port: str) -> str:
    return tcp(host, port, socket.AF_INET6)


def back(address: str) -> str:
    return socket.gethostbyaddr(address)[0]


def ask(way: str, host: str, server: str = "") -> str:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
    edns = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00" if way == "edns" else b""
    head = struct.pack(">6H", 4711, 0x0100, 1, 0, 0, 1 if edns else 0)
    query = head + labels + b"\x00" + struct.pack(">2H", TXT, 1) + edns
    kind = socket.SOCK_STREAM if way == "tcp" else socket.SOCK_DGRAM
    server = server or resolver()
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind) as asking:
        asking.settimeout(TIMEOUT_S)
        asking.connect((server, 53))
        said = over_tcp(asking, query) if way == "tcp" else over_udp(asking, query)
    if not said:
        return "closed"
    _, flags, _, answers = struct.unpack_from(">4H", said)
    return f"{answers} {'truncated' if flags & TRUNCATED else 'whole'}"


def over_udp(asking: socket.socket, query: bytes) -> bytes:
    asking.send(query)
    return asking.recv(65535)


def over_tcp(asking: socket.socket, query: bytes) -> bytes:
    asking.sendall(len(query).to_bytes(2, "big") + query)
    with asking.makefile("rb") as said:
        return said.read(int.from_bytes(said.read(2), "big"))


def resolver() -> str:
    lines = Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("nameserver "))


KINDS: dict[str, Callable[..., str]] = {
    "name": name,
    "name6": name6,
    "tcp": tcp,
    "tcp6": tcp6,
    "back": back,
    "ask": ask,
}


def tried(text: str) -> str:
    kind, *arguments = text.split("/")
    try:
        return KINDS[kind](*arguments)
    except TimeoutError:
        return "timeout"
    except socket.gaierror as error:
        return WORDS.get(error.errno or 0, str(error))
    except socket.herror as error:
        return f"herror {error.errno}"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


if __name__ == "__main__":
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for text, came in zip(sys.argv[1:], pool.map(tried, sys.argv[1:]), strict=True):
            sys.stdout.write(f"{text}={came}\n")
