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
from importlib import import_module
from typing import Any

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.docker_request import Request
from pyinfra_gvisor.judge.door import in_report, passes, why_refused
from pyinfra_gvisor.judge.resident import in_child, notify, process_at, sees_the_same

_FIRST = 3  # the first descriptor of systemd's: sd_listen_fds(3)
_JUDGEMENT_S = 20  # for a judgement
_SOON_S = 0.005
_MOST = 1 << 26  # bytes of a question
_LATE = (
    f"no decision within {_JUDGEMENT_S} s; check file systems that do not answer, then try again"
)
_ALLOWED = {"Allow": True}
_USUAL = b'{"Image": "app", "HostConfig": {"Binds": ["data:/data"]}}'


def serve_docker() -> None:
    """Answer dockerd at systemd's socket, for ever."""
    for name in ("hmac", "ipaddress"):  # later another version of Python may be there
        import_module(name)
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
    connection = writer.get_extra_info("socket")
    docker = process_at(connection)
    with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
        while True:  # dockerd keeps its connections
            path, length = _read_head(await reader.readuntil(b"\r\n\r\n"))
            said = await _answered(path, await reader.readexactly(length), docker)
            body = json.dumps(said).encode()
            head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.1+json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
    with suppress(OSError):  # a judgement that goes on has the connection, too
        connection.shutdown(socket.SHUT_RDWR)
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
    why = "" if passes(request) else await _JUDGES.ask(question, docker)
    return {"Allow": False, "Msg": why} if why else _ALLOWED


class _Judges:
    """
    Processes that judge one request each.

    One waits for the next request, and has judged one already: it answers in a third of the time.
    """

    def __init__(self) -> None:
        self.waiting: socket.socket | None = None

    async def ask(self, question: bytes, docker: int) -> str:
        """Return what one says about a request; if it says nothing, why."""
        judge, self.waiting = self.waiting, None
        if judge is None or _has_ended(judge):
            judge = self._start(docker)
        if judge is None:
            return "no process is left to judge this; try again"
        reader, writer = await asyncio.open_unix_connection(sock=judge, limit=_MOST)
        with suppress(OSError):
            writer.write(b"%d\n%b" % (docker, question))
            writer.write_eof()
        # Without wait_for: its error has another name in Python 3.10. One that hangs may not even
        # be killed.
        reading = asyncio.ensure_future(reader.read())
        await asyncio.wait({reading}, timeout=_JUDGEMENT_S + 5)
        found = reading.result() if reading.done() and not reading.exception() else b""
        reading.cancel()
        writer.close()
        # After the answer: a fork takes as long as a judgement.
        asyncio.get_running_loop().call_later(_SOON_S, self._have_one, docker)
        return found[1:].decode() if found[:1] == b"=" else _LATE

    def _have_one(self, docker: int) -> None:
        if self.waiting is None:
            self.waiting = self._start(docker)

    def _start(self, docker: int) -> socket.socket | None:
        own, judges = socket.socketpair()
        try:
            is_child = os.fork() == 0
        except OSError:
            own.close()
            judges.close()
            return None
        if is_child:
            own.close()  # else it would not notice that the program has ended
            in_child(lambda: _judge_one(judges, docker), _JUDGEMENT_S)
        judges.close()
        return own


def _has_ended(judge: socket.socket) -> bool:
    try:
        return judge.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _judge_one(parent: socket.socket, docker: int) -> None:
    """Wait for a request, and answer. Ends without one when the program ends."""
    why_refused(Request("POST", "/containers/create", {}, _USUAL, docker), NodePaths())
    signal.alarm(0)
    parts: list[bytes] = []
    while part := parent.recv(1 << 16):
        parts.append(part)
        signal.alarm(_JUDGEMENT_S)
    if parts:
        process, _, question = b"".join(parts).partition(b"\n")
        said = _judged(Request.of(json.loads(question), int(process)))
        parent.sendall(b"=" + said.encode("utf-8", "replace"))


_JUDGES = _Judges()


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
