"""Queries, and what answers them in tests: resolvers on loopback and Docker behind a socket."""

import asyncio
import contextlib
import functools
import gc
import json
import selectors
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast
from unittest import mock

from pyinfra_gvisor.parts.resolver.forwarder.exchange import framed, read_framed

Result = TypeVar("Result")
# What becomes of a query: the messages that are sent back, none for silence.
Answers = Callable[[bytes], list[bytes]]
ADDRESS = "203.0.113.5"


class Hurried(asyncio.SelectorEventLoop):
    """A loop whose clock is set forward to the next timer whenever nothing is to be read."""

    # What was sent over loopback is there at once; on a busy machine a moment later.
    SENT_S = 0.005

    def __init__(self) -> None:
        self.now_s = 1000.0
        selector = selectors.DefaultSelector()
        self._look, selector.select = selector.select, self._select  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    def run_in_executor(self, _: Any, job: Callable[..., Any], *given: Any) -> Any:
        """Do it now: the clock would not wait for a thread."""
        done = self.create_future()
        try:
            done.set_result(job(*given))
        except (OSError, ValueError) as error:
            done.set_exception(error)
        return done

    def _select(self, timeout_s: float | None = None) -> Any:
        ready = self._look(0) or (self._look(self.SENT_S) if timeout_s != 0 else [])
        if not ready and timeout_s:
            self.now_s += timeout_s
        return ready


def run(job: Coroutine[Any, Any, Result]) -> Result:
    """What comes of it, if nothing went wrong in the loop that nobody looked at."""
    wrong: list[dict[str, Any]] = []
    gc.freeze()  # so that only what this job makes is looked through

    async def watched() -> Result:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        result = await asyncio.wait_for(job, 60)
        await asyncio.sleep(0)
        gc.collect()
        return result

    with (
        asyncio.Runner(loop_factory=Hurried) as runner,
        mock.patch("time.monotonic", runner.get_loop().time),
    ):
        result = runner.run(watched())
    gc.collect()
    gc.unfreeze()
    assert wrong == []
    return result


def looped(job: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs in such a loop."""

    @functools.wraps(job)
    def test(*given: Any, **named: Any) -> None:
        run(job(*given, **named))

    return test


def query(name: str = "db", number: int = 7, kind: int = 1, flags: int = 0x0100) -> bytes:
    """A question for an address."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", number, flags, 1, 0, 0, 0) + labels + struct.pack(">B2H", 0, kind, 1)


def answer(asked: bytes, rcode: int = 0, address: str = ADDRESS) -> bytes:
    """Its answer with that address; without one if it is a failure."""
    records = int(rcode == 0)
    head = asked[:2] + struct.pack(">5H", 0x8180 | rcode, 1, records, 0, 0)
    record = struct.pack(">3HIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address)
    return head + asked[12:] + record * records


@contextlib.asynccontextmanager
async def resolver(answers: Answers, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """One over UDP and TCP; gives its port."""

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for message in answers(data):
                self.transport.sendto(message, addr)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            while True:
                for message in answers(await read_framed(reader)):
                    writer.write(framed(message))
        writer.close()

    server = await asyncio.start_server(serve, host, port)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(host, port))
    try:
        yield port
    finally:
        transport.close()
        server.close()


class FakeDocker:
    """
    Answers by path, as text that is said or as what becomes JSON; events by what is put.

    ``asked`` are the paths so far. None among the events ends their stream.
    """

    def __init__(self, path: Path, said: dict[str, Any]) -> None:
        self.path, self.said = path, said
        self.asked: list[str] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __aenter__(self) -> "FakeDocker":
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode().partition("?")[0]
        self.asked.append(path)
        said = self.said.get(path)
        if isinstance(said, bytes):
            writer.write(said)
        elif path == "/events":
            writer.write(ok(b""))
            while (event := await self.events.get()) is not None and not writer.is_closing():
                writer.write(event)
        elif said is None:
            writer.write(b"HTTP/1.0 404 Not Found\r\n\r\n{}")
        else:
            writer.write(ok(json.dumps(said).encode()))
        writer.close()


def well(message: bytes) -> list[bytes]:
    """An answer."""
    return [answer(message)]


def ok(body: bytes) -> bytes:
    """An answer of HTTP's around it."""
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body


async def until(true: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until it is so; raises ``asyncio.TimeoutError``."""

    async def look() -> None:
        while not true():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), within_s)


async def failing(job: Awaitable[object], kind: type[BaseException]) -> BaseException:
    """The error that it ends with."""
    try:
        result = await job
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {result!r}")
