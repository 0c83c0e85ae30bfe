"""
The authorization plugin of Docker: how the resident judge answers dockerd.

Source: moby, pkg/plugins and pkg/authorization.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from contextlib import suppress
from typing import Any

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.docker_request import Request
from pyinfra_gvisor.judge.door import in_report, made, passes, passes_at_once, why_refused
from pyinfra_gvisor.judge.permits import HEADER
from pyinfra_gvisor.judge.processes import JUDGEMENT_S, MOST, Judges, process_at, sees_the_same

_LATE = (
    f"no decision within {JUDGEMENT_S} s, or the judge can start no process. Check for mounts that "
    "hang, such as NFS, then try again"
)
_LOST = (
    "dockerd did this, but the judge did not answer. If a container was created, it has no "
    "exception: remove the container, and try again"
)
_REQUEST, _ANSWER = b"request", b"answer"
_CREATED = 201
_ALLOWED = {"Allow": True}
_USUAL = b'{"Image": "app", "Volumes": {"/data": {}}, "HostConfig": {}}'


async def answer_docker(
    judges: Judges, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer all questions of a connection of dockerd's."""
    connection = writer.get_extra_info("socket")
    docker = process_at(connection)
    with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
        while True:  # dockerd keeps its connections
            path, length = _read_head(await reader.readuntil(b"\r\n\r\n"))
            said = await _answered(judges, path, await reader.readexactly(length), docker)
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
    if method != "POST" or "transfer-encoding" in headers or not 0 <= length <= MOST:
        raise ValueError("not a question")
    return path, length


async def _answered(judges: Judges, path: str, question: bytes, docker: int) -> dict[str, Any]:
    if path == "/Plugin.Activate":
        return {"Implements": ["authz"]}
    if path == "/AuthZPlugin.AuthZRes":
        if HEADER.encode() not in question:
            return _ALLOWED
        told = await judges.ask(b"%d %b\n%b" % (docker, _ANSWER, question))
        return {"Allow": False, "Msg": _LOST} if told is None else _ALLOWED
    if path != "/AuthZPlugin.AuthZReq":
        return {"Err": f"{path[:80]} is not known"}
    try:
        request = Request.of(json.loads(question), docker)
    except (ValueError, AttributeError):  # also if dockerd asks again: moby sends nothing then
        return {"Allow": False, "Msg": "dockerd sent an incomplete request to the judge; try again"}
    if passes(request) or (sees_the_same(docker) and passes_at_once(request, NodePaths())):
        return _ALLOWED
    found = await judges.ask(b"%d %b\n%b" % (docker, _REQUEST, question))
    why = _LATE if found is None else found.decode()
    return {"Allow": False, "Msg": why} if why else _ALLOWED


def prepare(last: bytes) -> None:
    """
    Judge a usual request, so that the next one takes less time.

    + last: what was asked last, for ``judge_request``; may be empty
    """
    docker = int(last.partition(b" ")[0] or 0)
    why_refused(Request("POST", "/containers/create", {}, _USUAL, docker), NodePaths())


def judge_request(asked: bytes) -> bytes:
    """
    Return why dockerd must not do what is requested; empty if it may, or has done it.

    + asked: dockerd's process, whether it shows a request or also its answer, and what it shows
    """
    head, _, question = asked.partition(b"\n")
    docker, kind = head.split()
    shown = json.loads(question)
    request = Request.of(shown, int(docker))
    if kind == _REQUEST:
        return _judged(request).encode("utf-8", "replace")
    if shown.get("ResponseStatusCode") == _CREATED:  # dockerd shows no code of an error
        answer = json.loads(base64.b64decode(shown["ResponseBody"]))
        made(request, answer.get("Id") or "", NodePaths())
    return b""


def _judged(request: Request) -> str:
    if not sees_the_same(request.docker):
        return "dockerd and the judge are in different mount namespaces; restart dockerd"
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
