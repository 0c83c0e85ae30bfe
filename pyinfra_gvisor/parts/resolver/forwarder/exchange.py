"""Query a resolver: many queries over one UDP socket, or one over a TCP connection."""

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

MOST_WAITING = 1024  # of 65536 message ids, so that a free one is found quickly
_AT_ONCE = 64  # answers that are read before other tasks run


class Busy(Exception):
    """Too many queries are waiting."""


class Exchange:
    """A UDP socket that is connected to a resolver; each waiting query has its own message id."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self._waiting: dict[int, tuple[bytes, asyncio.Future[bytes]]] = {}
        asyncio.get_running_loop().add_reader(opened.fileno(), self._read)

    @property
    def waiting(self) -> int:
        """Return the number of queries that wait for their answer."""
        return len(self._waiting)

    async def ask(self, query: bytes, timeout_s: float) -> bytes:
        """Return the answer. Raises ``Busy``, ``OSError`` or ``asyncio.TimeoutError``."""
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
            # Not wait_for(): from Python 3.12 on it drops an answer that arrives just as the time
            # is up, for example after the process was suspended.
            await asyncio.wait({future}, timeout=timeout_s)
        finally:
            self._waiting.pop(number, None)
        if not future.done():
            raise asyncio.TimeoutError
        return with_identity(future.result(), identity(query))

    def close(self) -> None:
        """Close the socket; waiting queries end with ``ConnectionResetError``."""
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()
        self._fail(ConnectionResetError("closed"))

    def _send(self, message: bytes) -> None:
        try:
            self.socket.send(message)
        except BlockingIOError as error:
            raise Busy from error
        except OSError as error:  # It is about an earlier query, and reported only once.
            self._fail(error)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                message = self.socket.recv(MOST_BYTES)
            except BlockingIOError:
                return
            except OSError as error:  # Nobody listens there: it concerns all queries of the socket.
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
    """Query over ``opened``, which is closed at the end; return the answer. Raises ``OSError``."""
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
        raise ConnectionResetError("the answer does not match the query")
    return said


async def read_framed(reader: asyncio.StreamReader, most: int = MOST_BYTES) -> bytes:
    """
    Return the next message of a connection: RFC 1035, 4.2.2.

    + most: the largest size of a message in bytes

    Raises ``ConnectionResetError`` if the connection ends first, or the message is larger.
    """
    try:
        length = int.from_bytes(await reader.readexactly(2), "big")
        if length > most:
            raise ConnectionResetError(f"a message of {length} bytes is too large")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the connection ended within a message") from error


def framed(message: bytes) -> bytes:
    """Return a message with its length before it, as TCP needs it."""
    return len(message).to_bytes(2, "big") + message
