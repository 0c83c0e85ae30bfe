"""A server of files on loopback that can die, stall and lie, and is a forward proxy as well."""

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Self
from urllib.parse import urlsplit

# What gVisor's bucket answers for an object that it does not have.
NOT_FOUND = b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code></Error>"


@dataclass
class Served:
    """
    A file and how it is served.

    ``dies`` holds for one request after another how many bytes are sent until the connection
    breaks; with ``dies_always`` that is so for every request. ``stalls_at``: nothing comes behind
    so many bytes. ``announced`` is a Content-Length that is not so, ``location`` a redirect's.
    """

    content: bytes
    status: int = 200
    ranges: bool = True
    dies: list[int] = field(default_factory=list)
    dies_always: int | None = None
    stalls_at: int | None = None
    announced: int | None = None
    location: str = ""

    def limit(self) -> int:
        """How much of the answer is sent this time."""
        if self.dies:
            return self.dies.pop(0)
        ends = (self.dies_always, self.stalls_at, len(self.content))
        return min(end for end in ends if end is not None)


@dataclass(frozen=True)
class Request:
    """What was asked for, and how much of it was sent."""

    path: str
    range: str | None
    sent_bytes: int
    proxied: bool


class FileServer(ThreadingHTTPServer):
    """
    Serves ``files`` by path, an XML body with 404 elsewhere; ``requests`` are those so far.

    ``over`` is set when it ends.
    """

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        self.over = Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def find(self, path: str) -> Served | None:
        """What lies under ``path``."""
        return self.files.get(path)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve one request."""
        proxied = "://" in handler.path
        path = urlsplit(handler.path).path if proxied else handler.path
        file = self.find(path) or Served(NOT_FOUND, status=404)
        wanted = handler.headers.get("Range")
        first = (wanted or "bytes=0").removeprefix("bytes=").partition("-")[0]
        start = int(first) if file.ranges else 0
        status = 206 if start and file.status == 200 else file.status
        body = file.content[start:]
        handler.send_response(status)
        length = len(body) if file.announced is None else file.announced
        handler.send_header("Content-Length", str(length))
        if status == 206:
            size = len(file.content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if file.location:
            handler.send_header("Location", file.location)
        handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command == "HEAD":
            return
        sent = body[: file.limit()]
        self.requests.append(Request(path, wanted, len(sent), proxied))
        try:
            handler.wfile.write(sent)
            handler.wfile.flush()
        except OSError:  # the other side gave up
            return
        if file.stalls_at is not None:
            self.over.wait(30)
        handler.close_connection = True


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.answer(self)

    def do_HEAD(self) -> None:
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what matters."""
