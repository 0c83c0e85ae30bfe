"""
Asks for names again and again. Sent into containers as text; what came of it is one line of JSON.

+ ``keep red-runc``: by libc, as programs do, until there is ``/asked/stop``; into ``/asked/keep``
+ ``all 1000``: for ``n1`` to ``n1000``, each once, as soon as there is ``/asked/go``; into a file
  there that is called as this container is
+ ``once mine 169.254.53.53``: from that resolver

But for ``keep``, a query goes out once and never again.
"""

import json
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ASKED = Path("/asked")
LONGEST_S = 300
LOST_S = 20
PAUSE_S = 0.05
AT_ONCE = 20


def keep(host: str) -> None:
    came: Counter[str] = Counter()
    longest_s = 0.0
    end_s = time.monotonic() + LONGEST_S
    while time.monotonic() < end_s and not (ASKED / "stop").exists():
        then_s = time.monotonic()
        try:
            found = socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)
            came[str(found[0][4][0])] += 1
        except OSError as error:
            came[str(error)] += 1
        longest_s = max(longest_s, time.monotonic() - then_s)
        time.sleep(PAUSE_S)
    done("keep", {"came": came, "longest_s": round(longest_s, 2)})


def every(count: str) -> None:
    while not (ASKED / "go").exists():
        time.sleep(1)
    came: Counter[str] = Counter()
    began_s = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((resolver(), 53))
        asking.settimeout(LOST_S)
        for first in range(1, int(count) + 1, AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            for number in numbers:
                asking.send(query(f"n{number}", number))
            came.update(answered(asking, set(numbers)))
    done(socket.gethostname(), {"came": came, "took_s": round(time.monotonic() - began_s, 1)})


def answered(asking: socket.socket, numbers: set[int]) -> list[str]:
    found: list[str] = []
    while numbers:
        try:
            said = asking.recv(4096)
        except TimeoutError:
            return found
        number = int.from_bytes(said[:2], "big")
        if number in numbers and b"n%d\x00" % number in said:
            numbers.discard(number)
            found.append(address(said))
    return found


def once(host: str, server: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((server, 53))
        asking.settimeout(LOST_S)
        asking.send(query(host, 1))
        sys.stdout.write(f"{address(asking.recv(4096))}\n")


def query(host: str, number: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, 1, 1)


def address(said: bytes) -> str:
    """The one of the last record; the code if there is none."""
    _, flags, _, answers = struct.unpack_from(">4H", said)
    return socket.inet_ntoa(said[-4:]) if answers else f"code {flags & 15}"


def resolver() -> str:
    lines = Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("nameserver "))


def done(name: str, outcome: dict[str, object]) -> None:
    beside = ASKED / f".{name}"
    beside.write_text(json.dumps(outcome), encoding="utf-8")
    beside.rename(ASKED / name)


KINDS: dict[str, Callable[..., None]] = {"keep": keep, "all": every, "once": once}

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
