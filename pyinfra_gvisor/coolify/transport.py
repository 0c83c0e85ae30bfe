"""
Send requests to Coolify's API, one at a time and within its rate limit.

A request that only reads is sent up to three times. A request that changes something is sent once;
without a clear answer, its outcome is unknown.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.error import URLError
from urllib.request import HTTPErrorProcessor, ProxyHandler, Request, build_opener

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.address import api_url, is_here
from pyinfra_gvisor.coolify.pace import Pace
from pyinfra_gvisor.coolify.token import Token

LIMIT_BYTES = 32 * 1024 * 1024
REFUSAL_LIMIT_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
RETRY_WAITS_S = (1.0, 2.0)  # after the first and the second try
MAX_TOO_MANY = 5  # waits for one request after status 429
WHOLE_ANSWER = 4  # times timeout_s: the time limit of an answer from its first to its last byte
SAID_CHARACTERS = 200  # of Coolify's message in a refusal


class Refused(Problem):
    """Coolify will refuse every other request too. ``status`` is the HTTP status."""

    def __init__(self, what: str, *, status: int, got: object = None, todo: str = "") -> None:
        self.status = status
        super().__init__(what, got=got, todo=todo)


class Rejected(Problem):
    """Coolify refuses this request, and says why. It changed nothing."""


class NotFound(Problem):
    """Coolify does not know the object of the request. It changed nothing."""


class NoAnswer(Problem):
    """Coolify did not answer in a known form, even to a third request."""


class UnknownOutcome(Problem):
    """A change was requested, but no answer says whether it was made."""


class Transport:
    """
    Requests to one Coolify instance, one at a time and within its rate limit.

    + url: of Coolify, such as ``https://coolify.example.com``, or of its API
    + timeout_s: seconds for connecting, and for each part of an answer
    + sleep, clock: replaced in tests

    Uses the proxy that the environment names, as urllib does, unless ``url`` leads to this machine.
    Follows no redirect, which would get the token. Raises ``Problem`` if ``url`` is not a URL, or
    the token would be sent in clear text.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        timeout_s: float,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self.url: Final = api_url(url)
        self._token = token
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._clock = clock
        self._pace = Pace(sleep, clock)
        self._one_at_a_time = threading.Lock()
        # No proxy for this machine: it could not connect, and would see the token in clear text.
        self._opener = build_opener(_AsItIs, *([ProxyHandler({})] if is_here(url) else []))

    def read(self, path: str, parse: Callable[[bytes], Any] = json.loads) -> Any:
        """
        Return the answer to ``GET path``.

        + parse: parses the answer, or raises ``ValueError``

        Raises ``Refused``, ``NotFound``, ``Rejected`` or ``NoAnswer``.
        """
        with self._one_at_a_time:
            for wait_s in (*RETRY_WAITS_S, None):
                try:
                    return self._answer("GET", path, None, parse)
                except _NoSense as error:
                    why = str(error)
                if wait_s is not None:
                    self._sleep(wait_s)
        todo = f"check that Coolify works at {self.url}, then run again"
        raise NoAnswer(f"Coolify does not answer GET {path}", got=why, todo=todo)

    def write(self, method: str, path: str, body: dict[str, str]) -> Any:
        """Request a change once. Raises ``UnknownOutcome``, and what ``read`` raises."""
        with self._one_at_a_time:
            try:
                return self._answer(method, path, json.dumps(body).encode(), json.loads)
            except _NoSense as error:
                what = f"Coolify's answer to {method} {path} is not clear"
                todo = "check in Coolify whether the change was made"
                raise UnknownOutcome(what, got=str(error), todo=todo) from None

    def _answer(
        self, method: str, path: str, body: bytes | None, parse: Callable[[bytes], Any]
    ) -> Any:
        """Return the answer to one request; it is repeated only after status 429."""
        status, headers, said = self._ask_in_turn(method, path, body)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            try:
                return parse(said)
            except (ValueError, RecursionError):
                raise _NoSense(f"{len(said)} bytes that are not JSON") from None
        raise self._refusal(f"{method} {path}", status, headers, said)

    def _ask_in_turn(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[int, Message, bytes]:
        for waits_left in reversed(range(MAX_TOO_MANY + 1)):
            self._pace.keep()
            status, headers, said = self._ask(method, path, body)
            self._pace.note(headers)
            if status != HTTPStatus.TOO_MANY_REQUESTS:
                return status, headers, said
            if waits_left:
                self._pace.give_way(headers)
        what = f"Coolify's rate limit is exceeded, also after {MAX_TOO_MANY} waits"
        todo = "stop other clients of its API, then run again"
        raise NoAnswer(what, got=f"status 429 to {method} {path}", todo=todo)

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, Message, bytes]:
        request = Request(f"{self.url}{path}", data=body, method=method)  # noqa: S310 (api_url)
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", "pyinfra-gvisor")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        request.add_unredirected_header("Authorization", f"Bearer {self._token.reveal()}")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return response.status, response.headers, self._body(response)
        except (OSError, HTTPException, UnicodeError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            why = str(reason) or type(reason).__name__
        # Outside of the except block: urllib's frames contain the token, and would be its context.
        raise _NoSense(why)

    def _body(self, response: HTTPResponse) -> bytes:
        ends = self._clock() + WHOLE_ANSWER * self._timeout_s
        good = response.status < HTTPStatus.MULTIPLE_CHOICES
        limit, found = LIMIT_BYTES if good else REFUSAL_LIMIT_BYTES, b""
        while chunk := response.read1(CHUNK_BYTES):
            found += chunk
            if len(found) > limit:
                if not good:
                    return found[:limit]
                raise _NoSense(f"more than {limit} bytes")
            if self._clock() > ends:  # A socket's own timeout starts again with every byte.
                raise _NoSense("the answer takes too long")
        if response.length:
            raise _NoSense(f"the answer ends {response.length} bytes too early")
        return found

    def _refusal(self, asked: str, status: int, headers: Message, body: bytes) -> Exception:
        said = _cut(self._token.removed_from(_said(body)))
        if status < HTTPStatus.BAD_REQUEST:
            to = self._token.removed_from(_place(headers.get("Location", "")))
            return Refused(
                f"Coolify's API at {self.url} redirects",
                status=status,
                got=to,
                todo="set gvisor_coolify_url to the URL at which Coolify itself answers",
            )
        if status == HTTPStatus.UNAUTHORIZED or (
            status == HTTPStatus.BAD_REQUEST and said.startswith("Invalid token")
        ):  # the second: invalidTokenResponse in bootstrap/helpers/api.php
            todo = "create one at Keys & Tokens in Coolify, in the team that has the servers"
            return Refused("Coolify refuses the token", status=status, got=said or None, todo=todo)
        if status == HTTPStatus.FORBIDDEN:
            return Refused(
                f"Coolify forbids {asked}",
                status=status,
                got=said or None,
                todo="in Coolify, enable the API, allow this machine's address, and give the token "
                "the permissions read, write and deploy",
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or _parsed(body) is None:
            return _NoSense(f"status {status}")
        if status == HTTPStatus.NOT_FOUND:
            return NotFound(f"Coolify does not know {asked.partition(' ')[2]}", got=said)
        return Rejected(f"Coolify rejects {asked} ({status}): {said}")


class _NoSense(Exception):
    """No answer came, or one that is not understood."""


class _AsItIs(HTTPErrorProcessor):
    """Passes every answer on, so that no redirect is followed and no error raises an exception."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:  # noqa: ARG002
        return response

    https_response = http_response


def _place(location: str) -> str:
    """Return a redirect's target without user, password and query, which may be secret."""
    return location.partition("?")[0].rpartition("@")[2] or "nowhere"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _said(body: bytes) -> str:
    """Return Coolify's reasons for a refusal: its message, and the errors of each field."""
    found = _parsed(body)
    if not isinstance(found, dict):
        return ""
    texts = [str(found.get("message", ""))]
    errors = found.get("errors")
    for field, lines in errors.items() if isinstance(errors, dict) else ():
        texts += [f"{field}: {line}" for line in (lines if isinstance(lines, list) else [lines])]
    return "".join(char if char.isprintable() else " " for char in " ".join(texts)).strip()


def _cut(text: str) -> str:
    return text if len(text) <= SAID_CHARACTERS else f"{text[: SAID_CHARACTERS - 1]}…"
