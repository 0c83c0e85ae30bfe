"""A stand-in for Coolify's HTTP API on loopback: as strict, slow and unreliable as asked for."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Literal

from tests.coolify.api_state import CoolifyState

TOKEN = "17|sEcReTsEcReTsEcReTsEcReTsEcReTsEcReT"  # noqa: S105 (the stand-in's)

# ``late`` and ``late-stall`` do what is asked for, and then do not say so.
Kind = Literal["500", "stall", "cut", "html", "redirect", "404-html", "late", "late-stall"]


@dataclass
class Fault:
    """
    What goes wrong with requests whose ``METHOD /path`` a pattern matches: the ``nth`` of them and
    those behind it, ``times`` in all.
    """

    pattern: str
    kind: Kind
    nth: int = 1
    times: int = 1
    seen: int = 0

    def strikes(self, asked: str) -> bool:
        """Whether it does this time."""
        if not fnmatchcase(asked, self.pattern):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def asked(self) -> str:
        """``METHOD /path``, without the API's own path."""
        return f"{self.method} {self.path.removeprefix('/api/v1')}"


@dataclass
class RateLimit:
    """So many requests in so many seconds, counted from the first one, as Laravel does."""

    requests: int
    window_s: float = 60
    is_told: bool = True
    began: float = 0
    used: int = 0

    def left(self, now: float) -> int:
        """How many are left with this one taken off; below zero: it is one too many."""
        if self.used == 0 or now >= self.began + self.window_s:
            self.began, self.used = now, 0
        self.used += 1
        return self.requests - self.used


@dataclass
class ApiServer:
    """
    Answers as ``state`` says. ``before`` is called with every request's method and path before it
    is answered, and may change the state.

    ``refusal``: a status and message for everything, such as of an API that is off. ``clock``: what
    the rate limit goes by, in seconds.
    """

    state: CoolifyState = field(default_factory=CoolifyState)
    limit: RateLimit | None = None
    refusal: tuple[int, str] | None = None
    before: Callable[[str, str], None] = lambda _method, _path: None
    clock: Callable[[], float] = time.monotonic
    address: tuple[str, int] = ("127.0.0.1", 0)
    redirects_to: str = "http://192.0.2.1/api/v1/servers?token=x"
    seen: list[Seen] = field(default_factory=list)
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._closing = Event()
        self._lock = Lock()
        self._server = ThreadingHTTPServer(self.address, _handler(self))

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address[0]}:{self._server.server_port}"

    def __enter__(self) -> "ApiServer":
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def arm(self, pattern: str, kind: Kind, *, nth: int = 1, times: int = 1) -> None:
        """Have something go wrong, such as with ``PATCH /applications/*``."""
        self.faults.append(Fault(pattern, kind, nth, times))

    def asked(self, pattern: str = "*") -> list[str]:
        """The requests so far whose ``METHOD /path`` the pattern matches, refused ones too."""
        return [each.asked for each in self.seen if fnmatchcase(each.asked, pattern)]

    @property
    def patches(self) -> Counter[str]:
        """How many writes there were of each application, by uuid."""
        return Counter(each.rpartition("/")[2] for each in self.asked("PATCH /applications/*"))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request, one at a time."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        method = handler.command
        request = Seen(method, handler.path, dict(handler.headers), body)
        with self._lock:
            self.seen.append(request)
            fault = next((each for each in self.faults if each.strikes(request.asked)), None)
            left = self.limit.left(self.clock()) if self.limit else None
            if self.limit and left is not None and left < 0:
                self._too_many(handler, self.limit)
                return
            if fault is None or fault.kind.startswith("late"):
                self.before(method, handler.path)
                status, said = self._said(request)
        headers = {} if left is None or not self.limit or not self.limit.is_told else _told(left)
        if fault is None:
            _send(handler, status, said, headers)
        elif fault.kind.endswith("stall"):
            self._closing.wait(30)
        else:
            self._go_wrong(handler, fault.kind)

    def _said(self, request: Seen) -> tuple[int, Any]:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthenticated."}
        if self.refusal:
            return self.refusal[0], {"success": True, "message": self.refusal[1]}
        words = request.path.removeprefix("/api/v1").strip("/").split("/")
        match request.method, *words:
            case "GET", "version":
                return 200, "4.3.11"
            case "GET", "servers":
                return 200, list(self.state.servers.values())
            case "GET", "servers", uuid, "resources" if uuid in self.state.servers:
                return 200, self.state.resources_of(uuid)
            case "GET", "applications":
                return 200, list(self.state.applications.values())
            case "GET", "databases":
                return 200, list(self.state.databases.values())
            case "GET", "applications", uuid:
                return _found(self.state.application(uuid), "Application not found.")
            case "GET", "deployments", uuid:
                return _found(self.state.deployment(uuid), "Deployment not found.")
            case "PATCH", "applications", uuid if uuid in self.state.applications:
                return self._patched(uuid, request)
            case "POST", "applications", uuid, "restart" if uuid in self.state.applications:
                return 200, self.state.restart(uuid)
        return 404, {"message": "Not found.", "docs": "https://coolify.io/docs"}

    def _patched(self, uuid: str, request: Seen) -> tuple[int, Any]:
        if request.headers.get("Content-Type") != "application/json" or not request.body:
            return 400, {"message": "Invalid request.", "error": "Invalid JSON."}
        errors = self.state.change(uuid, json.loads(request.body))
        if errors:
            return 422, {"message": "Validation failed.", "errors": errors}
        return 200, {"uuid": uuid}

    def _too_many(self, handler: BaseHTTPRequestHandler, limit: RateLimit) -> None:
        self.refused += 1
        after = int(limit.began + limit.window_s - self.clock()) + 1
        headers = {"Retry-After": str(after), **_told(0)}
        _send(handler, 429, {"message": "Too Many Attempts."}, headers)

    def _go_wrong(self, handler: BaseHTTPRequestHandler, kind: Kind) -> None:
        if kind == "cut":
            handler.send_response(200)
            handler.send_header("Content-Length", "4096")
            handler.end_headers()
            handler.wfile.write(b'[{"uuid": "')
            handler.close_connection = True
        elif kind == "redirect":
            _send(handler, 302, "", {"Location": self.redirects_to})
        else:
            status = {"html": 200, "404-html": 404}.get(kind, 500)
            _send(handler, status, "<html>Bad gateway</html>", {"Content-Type": "text/html"})


def _handler(owner: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            owner.answer(self)

        do_PATCH = do_GET  # noqa: N815 (its name there)
        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing: pytest shows what matters."""

    return Handler


def _found(record: Any, missing: str) -> tuple[int, Any]:
    return (200, record) if record else (404, {"message": missing})


def _told(left: int) -> dict[str, str]:
    return {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": str(left)}


def _send(handler: BaseHTTPRequestHandler, status: int, said: Any, headers: dict[str, str]) -> None:
    body = (said if isinstance(said, str) else json.dumps(said)).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
