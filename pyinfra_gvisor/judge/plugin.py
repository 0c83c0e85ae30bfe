"""
The authorization plugin of Docker: it answers dockerd, each judgement in a process of its own.

A question that waits, such as for a file on a network file system that does not answer, holds up no
other one. Source: moby, pkg/plugins and pkg/authorization.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from typing import Any

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.docker_request import Request
from pyinfra_gvisor.judge.door import in_report, passes, why_refused
from pyinfra_gvisor.judge.resident import in_child, notify, process_at, sees_the_same

_FIRST = 3  # the first descriptor of systemd's: sd_listen_fds(3)
_JUDGEMENT_S = 20  # for a judgement
_MOST = 1 << 26  # bytes of a question
_LATE = (
    f"no decision within {_JUDGEMENT_S} s; check file systems that do not answer, then try again"
)
_ALLOWED = {"Allow": True}


def serve_docker() -> None:
    """Answer dockerd at systemd's socket, for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: wait(2)
    asyncio.run(_serve())


async def _serve() -> None:
    listener = socket.socket(fileno=_FIRST)
    await asyncio.start_unix_server(_converse, sock=listener, limit=_MOST, backlog=1024)
    gc.freeze()
    notify("READY=1")
    interval_s = int(os.environ.get("WATCHDOG_USEC", "30000000")) / 3_000_000
    while True:
        await asyncio.sleep(interval_s)
        notify("WATCHDOG=1")


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    docker = process_at(writer.get_extra_info("socket"))
    with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
        while True:  # dockerd keeps its connections
            path, length = _read_head(await reader.readuntil(b"\r\n\r\n"))
            said = await _answered(path, await reader.readexactly(length), docker)
            body = json.dumps(said).encode()
            head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.1+json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
    writer.close()


def _read_head(data: bytes) -> tuple[str, int]:
    """Return path and length of a question. Raises ``ValueError`` if it is none of Docker's."""
    first, *lines = data.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    if method != "POST" or "transfer-encoding" in headers or not 0 <= length <= _MOST:
        raise ValueError("not a question")
    return path, length


async def _answered(path: str, question: bytes, docker: int) -> dict[str, Any]:
    if path == "/Plugin.Activate":
        return {"Implements": ["authz"]}
    if path == "/AuthZPlugin.AuthZRes":
        return _ALLOWED
    if path != "/AuthZPlugin.AuthZReq":
        return {"Err": f"{path[:80]} is not known"}
    try:
        request = Request.of(json.loads(question), docker)
    except (ValueError, AttributeError):  # also if dockerd asks again: moby sends nothing then
        return {"Allow": False, "Msg": "the question of dockerd was not complete; try again"}
    why = "" if passes(request) else await _asked(request)
    return {"Allow": False, "Msg": why} if why else _ALLOWED


async def _asked(request: Request) -> str:
    """Return what a process of its own says about a request; if it says nothing, why."""
    reading, writing = os.pipe()
    try:
        if os.fork() == 0:
            in_child(lambda: _write(writing, _judged(request)), _JUDGEMENT_S)
    except OSError:
        os.close(reading)
        return "no process is left to judge this; try again"
    finally:
        os.close(writing)
    said = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(said), os.fdopen(reading, "rb", 0)
    )
    try:
        found = await asyncio.wait_for(said.read(), _JUDGEMENT_S + 5)
    except TimeoutError:  # it cannot even be killed
        found = b""
    finally:
        transport.close()
    return found[1:].decode() if found[:1] == b"=" else _LATE


def _judged(request: Request) -> str:
    if not sees_the_same(request.docker):
        return "dockerd has other mounts than pyinfra-gvisor, so paths differ; restart dockerd"
    paths = NodePaths()
    why = why_refused(request, paths)
    if why and in_report(paths):
        _report(f"would be refused: {request.method} {request.path[:200]}: {why}")
        return ""
    return why


def _report(text: str) -> None:
    shown = text.encode("utf-8", "replace").decode().replace("\0", "?")
    command = ["logger", "-t", "pyinfra-gvisor", "--", shown]
    subprocess.run(command, check=False)


def _write(file: int, text: str) -> None:
    data = b"=" + text.encode("utf-8", "replace")
    while data:
        data = data[os.write(file, data) :]
