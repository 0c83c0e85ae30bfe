"""Commands in a running container, and all that they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

from docker import DockerClient
from docker.errors import create_api_error_from_http_exception
from docker.models.containers import Container
from requests import HTTPError

_STDOUT, _STDERR = 1, 2
_HEAD_BYTES = 8


class Ran(NamedTuple):
    """How a command in a node ended."""

    code: int
    stdout: str
    stderr: str


def run(container: Container, command: list[str], user: str) -> Ran:
    """
    Run a command to its end, with nothing on its stdin; raises ``DockerException``.

    docker-py's own ``exec_run`` reads the bare socket behind its HTTP client (``_read_from_socket``
    in docker/api/client.py), so that output is lost that came in one piece with the answer's head.
    Without ``Upgrade`` Docker's answer is a body as any other, which ends with the command.
    """
    api = cast("DockerClient", container.client).api
    made = api.exec_create(container.id, command, user=user)["Id"]
    url = f"{api.base_url}/v{api.api_version}/exec/{made}/start"
    with api.post(url, json={"Detach": False, "Tty": False}) as answer:
        try:
            answer.raise_for_status()
        except HTTPError as error:
            create_api_error_from_http_exception(error)
        frames = [*_frames(answer.content)]
    said = (b"".join(text for kind, text in frames if kind == of) for of in (_STDOUT, _STDERR))
    stdout, stderr = (text.decode(errors="replace") for text in said)
    code = api.exec_inspect(made)["ExitCode"]
    return Ran(-1 if code is None else code, stdout, stderr)


def _frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Which stream, and what it said: Docker Engine API, ContainerAttach, "Stream format"."""
    while body:
        end = _HEAD_BYTES + int.from_bytes(body[4:_HEAD_BYTES], "big")
        yield body[0], body[_HEAD_BYTES:end]
        body = body[end:]
