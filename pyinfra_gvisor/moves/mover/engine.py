"""Ask Docker's API over its socket, to read and to change."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

Inspected = dict[str, Any]
"""Docker's answer about a container: ``ContainerInspect`` of moby's API."""

_ERROR = 400
_MOST_LOG, _MOST = 1 << 18, 1 << 25  # bytes


class Failed(Exception):
    """Docker refused a request, or did not answer. ``code``: of HTTP; 0 without an answer."""

    def __init__(self, what: str, code: int = 0) -> None:
        super().__init__(what)
        self.code = code


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str, limit_s: float) -> None:
        super().__init__("docker", timeout=limit_s)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address)


class Docker:
    """
    The Docker Engine of this node.

    + address: path of its socket
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, method: str, path: str, body: Any = None, limit_s: float = 30) -> Any:
        """Return what Docker answers; None for nothing. Raises ``Failed``."""
        data = self._answer(method, path, body, limit_s)
        try:
            return json.loads(data) if data.strip() else None
        except ValueError:
            raise Failed(f"Docker's answer to {path} is not complete") from None

    def inspect(self, name: str) -> Inspected | None:
        """Return what Docker knows of a container; None if there is none. Raises ``Failed``."""
        try:
            found: Inspected = self.ask("GET", f"/containers/{quote(name)}/json")
        except Failed as error:
            if error.code == http.client.NOT_FOUND:
                return None
            raise
        return found

    def image_id(self, name: str) -> str:
        """Return the id of an image; empty if there is none of this name."""
        try:
            found = self.ask("GET", f"/images/{quote(name, safe='/:@')}/json")
        except Failed as error:
            if error.code == http.client.NOT_FOUND:
                return ""
            raise
        return str(found["Id"])

    def on(self, identity: str, word: str, body: Any = None, limit_s: float = 30) -> None:
        """Do something with a container, such as ``start``. Raises ``Failed``."""
        self.ask("POST", f"/containers/{identity}/{word}", body, limit_s)

    def log(self, identity: str, lines: int) -> list[str]:
        """Return the last lines of a container's log; none if its driver cannot be read."""
        path = f"/containers/{identity}/logs?stdout=1&stderr=1&tail={lines}"
        try:
            data = self._answer("GET", path, None, 10)
        except Failed:
            return []
        return _unframed(data[:_MOST_LOG]).decode("utf-8", "replace").splitlines()[-lines:]

    def changed_s(self, identity: str, path: str) -> float:
        """Return when a file of a container was changed, in seconds since 1970; 0 if unknown."""
        where = f"/containers/{identity}/archive?path={quote(path)}"
        try:
            _, head = self._asked("HEAD", where, None, 30)
            told = json.loads(base64.b64decode(head["X-Docker-Container-Path-Stat"] or ""))
            return seconds(told["mtime"])
        except (Failed, ValueError, LookupError):
            return 0.0

    def _answer(self, method: str, path: str, body: Any, limit_s: float) -> bytes:
        return self._asked(method, path, body, limit_s)[0]

    def _asked(
        self, method: str, path: str, body: Any, limit_s: float
    ) -> tuple[bytes, http.client.HTTPMessage]:
        given = None if body is None else json.dumps(body)
        head = {} if given is None else {"Content-Type": "application/json"}
        connection = _Connection(self._address, limit_s)
        try:
            connection.request(method, path, given, head)
            answer = connection.getresponse()
            data = answer.read(_MOST + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"Docker does not answer to {path}: {error}") from None
        finally:
            connection.close()
        if len(data) > _MOST:
            raise Failed(f"Docker's answer to {path} is too long")
        if answer.status >= _ERROR:
            raise Failed(_message(data), answer.status)
        return data, answer.headers


def name_of(told: Inspected) -> str:
    """Return the name of a container, as ``docker ps`` shows it."""
    return str(told["Name"]).lstrip("/")


def seconds(text: str) -> float:
    """Return a time of Docker's (RFC 3339, with nanoseconds) in seconds since 1970."""
    found = re.fullmatch(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?(Z|[+-]\d+:\d+)", text)
    if found is None:
        raise ValueError(text)
    zone = "+00:00" if found[3] == "Z" else found[3]
    whole = datetime.fromisoformat(found[1] + zone).astimezone(timezone.utc)  # noqa: UP017 - 3.10
    return whole.timestamp() + float(found[2] or 0)


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, LookupError, TypeError):
        return data.decode("utf-8", "replace")[:300]


def _unframed(data: bytes) -> bytes:
    """Return a log without the heads of its frames, which it has unless there is a terminal."""
    found, at = b"", 0
    while data[at : at + 4] in (b"\1\0\0\0", b"\2\0\0\0"):
        length = int.from_bytes(data[at + 4 : at + 8], "big")
        found += data[at + 8 : at + 8 + length]
        at += 8 + length
    return found if at else data
