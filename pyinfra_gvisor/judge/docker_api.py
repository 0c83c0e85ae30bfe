"""
Ask Docker's API over its socket, for previews only.

HTTP/1.0 in a few lines: the standard library's client takes longer to import than a preview takes.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from pyinfra_gvisor.judge.docker_files import Undecided

_LIMIT_S = 20
_TRIES = 5  # a second apart: dockerd may be restarting


def ask_docker(path: str, address: str) -> Any:
    """
    Return Docker's answer to ``GET path``.

    + address: path of its socket

    Raises ``Undecided`` if there is none within 20 s.
    """
    try:
        with _connected(address) as connection:
            head, found, body = _talk(connection, path).partition(b"\r\n\r\n")
    except OSError as error:
        raise Undecided(f"no answer to {path}: {error}") from None
    words = head.split(b" ", 2)
    if not found or not words[0].startswith(b"HTTP/1.") or len(words) < 2:  # noqa: PLR2004
        raise Undecided(f"no answer to {path}")
    if words[1] != b"200":
        raise Undecided(f"Docker answers HTTP {words[1].decode('ascii', 'replace')} to {path}")
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        raise Undecided(f"Docker's answer to {path} is not complete") from None


def _connected(address: str) -> socket.socket:
    for tried in range(1, _TRIES + 1):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_LIMIT_S)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
            if tried == _TRIES:
                raise
            time.sleep(1)
        else:
            return connection
    raise AssertionError


def _talk(connection: socket.socket, path: str) -> bytes:
    request = f"GET {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n"
    connection.sendall(request.encode())
    ends_s = time.monotonic() + _LIMIT_S
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
        connection.settimeout(max(0.001, ends_s - time.monotonic()))
    return b"".join(parts)
