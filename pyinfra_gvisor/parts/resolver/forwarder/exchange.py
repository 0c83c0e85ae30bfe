"""Asking a resolver: many queries over one socket, or one over a connection."""

from __future__ import annotations

import asyncio
import secrets
import socket

from pyinfra_gvisor.parts.resolver.forwarder.messages import (
    MOST_BYTES,
    identity,
    is_answer_to,
    with_identity,
)

MOST_WAITING = 1024  # of 65536 numbers, so that a free one is found at once
_AT_ONCE = 64  # answers that are read before others have their turn


class Busy(Exception):
    """More queries wait than may."""


class Exchange:
    """One socket that is connected to a resolver; each query waits under a number of its own."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self._waiting: dict[int, tuple[bytes, asyncio.Future[bytes]]] = {}
        asyncio.get_running_loop().add_reader(opened.fileno(), self._read)

    @property
    def waiting(self) -> int:
        """How many queries wait for their answer."""
        return len(self._waiting)

    async def ask(self, query: bytes, timeout_s: float) -> bytes:
        """The answer; raises ``Busy``, ``OSError`` and ``asyncio.TimeoutError``."""
        if len(self._waiting) >= MOST_WAITING:
            raise Busy
        number = secrets.randbelow(1 << 16)
        while number in self._waiting:
            number = secrets.randbelow(1 << 16)
        sent = with_identity(query, number)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (sent, future)
        try:
            self._send(sent)
            # From Python 3.12 on wait_for() drops what comes just when time is up, as it does for
            # one who did not run for as long.
            await asyncio.wait({future}, timeout=timeout_s)
        finally:
            self._waiting.pop(number, None)
        if not future.done():
            raise asyncio.TimeoutError
        return with_identity(future.result(), identity(query))

    def close(self) -> None:
        """No more; who waits is told that the connection is reset."""
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()
        self._fail(ConnectionResetError("closed"))

    def _send(self, message: bytes) -> None:
        try:
            self.socket.send(message)
        except BlockingIOError as error:
            raise Busy from error
        except OSError as error:  # of what was sent before, and told once only
            self._fail(error)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                message = self.socket.recv(MOST_BYTES)
            except BlockingIOError:
                return
            except OSError as error:  # nobody listens: that is said of the socket, not of a query
                self._fail(error)
                return
            sent, future = self._waiting.get(int.from_bytes(message[:2], "big"), (b"", None))
            if future is not None and not future.done() and is_answer_to(sent, message):
                future.set_result(message)

    def _fail(self, error: OSError) -> None:
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


async def ask_over_tcp(opened: socket.socket, to: tuple[str, int], query: bytes) -> bytes:
    """The answer over a connection of its own, which it closes; raises ``OSError``."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(opened, to)
        reader, writer = await asyncio.open_connection(sock=opened)
    except BaseException:
        opened.close()
        raise
    try:
        writer.write(framed(query))
        said = await read_framed(reader)
    finally:
        writer.close()
    if not is_answer_to(query, said):
        raise ConnectionResetError("not the answer to what was asked")
    return said


async def read_framed(reader: asyncio.StreamReader, most: int = MOST_BYTES) -> bytes:
    """
    The next message of a connection: RFC 1035, 4.2.2.

    Raises ``ConnectionResetError`` if it ends before, or if the message has more bytes than that.
    """
    try:
        length = int.from_bytes(await reader.readexactly(2), "big")
        if length > most:
            raise ConnectionResetError(f"a message of {length} bytes")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("ended before its message did") from error


def framed(message: bytes) -> bytes:
    """A message as it goes over a connection."""
    return len(message).to_bytes(2, "big") + message
