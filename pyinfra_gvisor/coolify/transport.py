"""
One polite request after the other to Coolify's API.

What is only read is asked for up to three times. What changes something is sent once, and if no
clear answer comes it is not known whether it was done.
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

from pyinfra_gvisor.coolify.address import api_url, is_here
from pyinfra_gvisor.coolify.pace import Pace
from pyinfra_gvisor.coolify.token import Token
from pyinfra_gvisor.errors import Problem

LIMIT_BYTES = 32 * 1024 * 1024
REFUSAL_LIMIT_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
RETRY_WAITS_S = (1.0, 2.0)  # behind the first and the second try
MAX_TOO_MANY = 5  # waits for one request
WHOLE_ANSWER = 4  # times timeout_s: how long an answer may take from its first byte to its last
SAID_CHARACTERS = 200  # of what Coolify says in a refusal


class Refused(Problem):
    """Coolify will refuse every other request too. ``status`` is HTTP's."""

    def __init__(self, what: str, *, status: int, got: object = None, todo: str = "") -> None:
        self.status = status
        super().__init__(what, got=got, todo=todo)


class Rejected(Problem):
    """Coolify refuses this one request, and says why; nothing was done."""


class NotFound(Problem):
    """Coolify does not know what the request is about; nothing was done."""


class NoAnswer(Problem):
    """No answer that says something, also to a second and third request."""


class UnknownOutcome(Problem):
    """A change was asked for, and no answer says whether it was made."""


class Transport:
    """
    Requests to one instance of Coolify, one at a time and never faster than it allows.

    + url: Coolify's own, such as ``https://coolify.example.com``, or that of its API
    + timeout_s: for connecting and for each part of an answer, in seconds
    + sleep, clock: replaced in tests

    Goes through the proxy that the environment names, as urllib does, unless ``url`` leads to this
    machine. Follows no redirect: the token would go along. Raises ``Problem`` if ``url`` is none,
    or the token would go over the network in clear.
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
        # No proxy leads to this machine, and none is to have the token in clear.
        self._opener = build_opener(_AsItIs, *([ProxyHandler({})] if is_here(url) else []))

    def read(self, path: str, parse: Callable[[bytes], Any] = json.loads) -> Any:
        """
        What ``GET path`` answers.

        + parse: makes something of it, or raises ``ValueError``

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
        todo = f"look at Coolify, at {self.url}, and run again"
        raise NoAnswer(f"Coolify does not answer GET {path}", got=why, todo=todo)

    def write(self, method: str, path: str, body: dict[str, str]) -> Any:
        """Ask once for a change; raises ``UnknownOutcome``, and what ``read`` does."""
        with self._one_at_a_time:
            try:
                return self._answer(method, path, json.dumps(body).encode(), json.loads)
            except _NoSense as error:
                what, todo = f"no clear answer to {method} {path}", "look whether it was done"
                raise UnknownOutcome(what, got=str(error), todo=todo) from None

    def _answer(
        self, method: str, path: str, body: bytes | None, parse: Callable[[bytes], Any]
    ) -> Any:
        """What one request is answered; it is repeated only where nothing was done with it."""
        status, headers, said = self._ask_in_turn(method, path, body)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            try:
                return parse(said)
            except (ValueError, RecursionError):
                raise _NoSense(f"{len(said)} bytes that are no JSON") from None
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
        what = f"Coolify goes on to say that it is asked too much, to {method} {path}"
        raise NoAnswer(what, todo="ask it less from elsewhere, and run again")

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
        # Not in there: urllib's frames have the token, and would hang on to this as its context.
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
            if self._clock() > ends:  # a socket's own time-out starts again with every byte
                raise _NoSense("an answer that never ends")
        if response.length:
            raise _NoSense(f"an answer that ends {response.length} bytes too early")
        return found

    def _refusal(self, asked: str, status: int, headers: Message, body: bytes) -> Exception:
        said = _cut(self._token.removed_from(_said(body)))
        if status < HTTPStatus.BAD_REQUEST:
            to = self._token.removed_from(_place(headers.get("Location", "")))
            return Refused(
                f"Coolify's API at {self.url} sends elsewhere",
                status=status,
                got=to,
                todo="write the address it answers at itself into gvisor_coolify_url",
            )
        if status == HTTPStatus.UNAUTHORIZED or (
            status == HTTPStatus.BAD_REQUEST and said.startswith("Invalid token")
        ):  # the second: invalidTokenResponse in bootstrap/helpers/api.php
            todo = "make one at Keys & Tokens in Coolify, in the team that has the servers"
            return Refused("Coolify refuses the token", status=status, got=said or None, todo=todo)
        if status == HTTPStatus.FORBIDDEN:
            return Refused(
                f"Coolify forbids {asked}",
                status=status,
                got=said or None,
                todo="have its API enabled, this address allowed, and a token with the permissions "
                "read, write and deploy",
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or _parsed(body) is None:
            return _NoSense(f"status {status}")
        if status == HTTPStatus.NOT_FOUND:
            return NotFound(f"Coolify does not know {asked.partition(' ')[2]}", got=said)
        return Rejected(f"Coolify rejects {asked} ({status}): {said}")


class _NoSense(Exception):
    """Nothing came, or nothing that can be understood."""


class _AsItIs(HTTPErrorProcessor):
    """Hands out every answer, so that no redirect is followed and no error becomes an exception."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:  # noqa: ARG002
        return response

    https_response = http_response


def _place(location: str) -> str:
    """A redirect's target as it may be shown: without user, password and query."""
    return location.partition("?")[0].rpartition("@")[2] or "nowhere"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _said(body: bytes) -> str:
    """What Coolify says about a refusal: its message, and of each field what is wrong with it."""
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
