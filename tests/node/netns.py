"""Network namespaces of this machine, and Docker's resolver in them."""

import ctypes
import os
import secrets
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
RESOLVER = ("169.254.53.53", 53)
_LIBC = ctypes.CDLL(None, use_errno=True)


def ip(*commands: str) -> None:
    """Run commands of ip(8), one after the other."""
    subprocess.run(
        ["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True, capture_output=True
    )


def inside(path: Path, job: Callable[[], Result]) -> Result:
    """Run a job in a network namespace and return its result."""
    own, there = (os.open(name, os.O_RDONLY) for name in ("/proc/thread-self/ns/net", path))
    try:
        assert _LIBC.setns(there, 0) == 0, path
        try:
            return job()
        finally:
            assert _LIBC.setns(own, 0) == 0
    finally:
        os.close(own)
        os.close(there)


def query(name: str = "db", number: int | None = None) -> bytes:
    """Return a query for an address, with its own number."""
    ident = secrets.token_bytes(2) if number is None else number.to_bytes(2, "big")
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return ident + bytes.fromhex("01000001000000000000") + labels + bytes.fromhex("0000010001")


class Answering(threading.Thread):
    """Docker's resolver in a namespace, over UDP and TCP: answers all with one address."""

    def __init__(self, path: Path, address: str, port: int = 53) -> None:
        super().__init__(daemon=True)
        self.address, self.seen = address, 0
        self._stop_now = False
        self._udp = inside(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._tcp = inside(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for opened in (self._udp, self._tcp):
            opened.bind(("127.0.0.11", port))
        self._tcp.listen()
        self.start()

    def run(self) -> None:
        with selectors.DefaultSelector() as ready, self._udp, self._tcp:
            for opened in (self._udp, self._tcp):
                ready.register(opened, selectors.EVENT_READ)
            while not self._stop_now:
                for key, _ in ready.select(0.05):
                    if key.fileobj is self._udp:
                        message, sender = self._udp.recvfrom(65535)
                        self._udp.sendto(self._answer(message), sender)
                    else:
                        self._connection(self._tcp.accept()[0])

    def stop(self) -> None:
        """Stop listening."""
        self._stop_now = True
        self.join()

    def _connection(self, opened: socket.socket) -> None:
        with opened:
            message = opened.recv(65535)
            said = self._answer(message[2:])
            opened.sendall(len(said).to_bytes(2, "big") + said)

    def _answer(self, asked: bytes) -> bytes:
        self.seen += 1
        record = bytes.fromhex("c00c000100010000003c0004") + socket.inet_aton(self.address)
        return asked[:2] + bytes.fromhex("81800001000100000000") + asked[12:] + record


def told(said: bytes) -> str:
    """Return the address in an answer, or its error code."""
    return socket.inet_ntoa(said[-4:]) if said[3] & 15 == 0 else f"failure {said[3] & 15}"


def until(true: Callable[[], object], within_s: float = 10) -> bool:
    """Return True if a condition becomes true in time."""
    end_s = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True
