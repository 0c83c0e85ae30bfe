"""Whether a Docker can run the nodes of a lab, and what a command in a node says."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import docker
import pytest
from docker.errors import APIError, NotFound
from requests import Response

from tests.table import table
from tools.lab.command import Ran, run
from tools.lab.engine import why_it_cannot
from tools.lab.spec import LabError

CAPS = "OCI runtime create failed: unable to apply caps:\n operation not permitted: unknown"


def refusal(code: int) -> APIError:
    """What docker-py raises for an answer with that status."""
    answer = Response()
    answer.status_code = code
    return APIError("refused", response=answer, explanation=CAPS)


def nothing_is_left(docker: Mock) -> bool:
    """Whether a privileged container was created, and removed again with its image."""
    ((_, created),) = docker.containers.create.call_args_list
    ((_, imported),) = docker.api.import_image.call_args_list
    docker.containers.create.return_value.remove.assert_called_once_with(force=True)
    docker.images.remove.assert_called_once_with(imported["repository"], force=True)
    return created["privileged"] is True


def test_one_that_starts_a_privileged_container_can() -> None:
    docker = Mock()

    assert why_it_cannot(docker) is None
    assert nothing_is_left(docker)


@table("code", {"refused": 400, "failed": 500})
def test_one_that_does_not_cannot_and_says_why_in_a_line(code: int) -> None:
    docker = Mock()
    docker.containers.create.return_value.start.side_effect = refusal(code)

    why = why_it_cannot(docker)

    assert why == CAPS.replace("\n", "")
    assert nothing_is_left(docker)


def test_one_that_cannot_be_tried_is_no_answer() -> None:
    docker = Mock()
    docker.api.import_image.side_effect = refusal(500)  # such as a full disk

    with pytest.raises(LabError, match="lab: docker: cannot test privileged containers"):
        why_it_cannot(docker)


VERSION = "1.41"
CREATE, START, INSPECT = "/containers/c1/exec", "/exec/e1/start", "/exec/e1/json"


def frame(kind: int, text: str) -> bytes:
    data = text.encode()
    return bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class Daemon(socketserver.ThreadingUnixStreamServer):
    """
    One that has a container ``c1``, in which a command says ``said`` and ends with ``code``.

    ``asked`` are the bodies of what it was asked for, by path.
    """

    daemon_threads = True

    def __init__(self, path: str, said: bytes, code: int | None) -> None:
        self.said, self.code, self.asked = said, code, dict[str, Any]()
        super().__init__(path, Request)


class Request(BaseHTTPRequestHandler):
    server: Daemon

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        path = self.path.removeprefix(f"/v{VERSION}")
        self.server.asked[path] = json.loads(self.rfile.read(length))
        answers = {CREATE: (201, b'{"Id": "e1"}'), START: (200, self.server.said)}
        self._say(*answers.get(path, (404, b'{"message": "no such container"}')))

    def do_GET(self) -> None:
        assert self.path == f"/v{VERSION}{INSPECT}"
        self._say(200, json.dumps({"ExitCode": self.server.code}).encode())

    def _say(self, status: int, body: bytes) -> None:
        """Head and body in one piece, as a busy machine brings them."""
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n\r\n"
        self.wfile.write(head.encode() + body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


Runs = Callable[..., tuple[Ran, Daemon]]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Run a command; how it ended, and the daemon."""

    def job(said: bytes = b"", code: int | None = 0, container: str = "c1") -> tuple[Ran, Daemon]:
        path = str(tmp_path / "docker.sock")
        with Daemon(path, said, code) as daemon:
            threading.Thread(target=daemon.serve_forever, args=(0.01,), daemon=True).start()
            client = docker.DockerClient(base_url=f"unix://{path}", version=VERSION)
            try:
                found = client.containers.prepare_model({"Id": container})
                return run(found, ["echo", "one"], "nobody"), daemon
            finally:
                client.close()
                daemon.shutdown()

    return job


def test_what_comes_with_the_answers_head_is_not_lost(runs: Runs) -> None:
    ran, daemon = runs(frame(1, "one\n"))

    assert ran == Ran(0, "one\n", "")
    assert daemon.asked[CREATE]["Cmd"] == ["echo", "one"]
    assert daemon.asked[CREATE]["User"] == "nobody"


def test_both_streams_are_told_apart_and_put_together(runs: Runs) -> None:
    said = frame(1, "o") + frame(2, "wr") + frame(1, "x" * 70_000) + frame(2, "ong") + frame(1, "")

    ran, _ = runs(said, 3)

    assert ran == Ran(3, "o" + "x" * 70_000, "wrong")


def test_what_is_no_text_is_replaced_and_a_character_may_be_in_two_frames(runs: Runs) -> None:
    halves = "é".encode()
    said = frame(1, "")[:4] + b"\0\0\0\1" + halves[:1] + frame(1, "")[:4] + b"\0\0\0\2\xa9\xff"

    ran, _ = runs(said)

    assert ran == Ran(0, "é\N{REPLACEMENT CHARACTER}", "")


def test_one_that_has_not_ended_has_no_code(runs: Runs) -> None:
    assert runs(code=None)[0] == Ran(-1, "", "")


def test_a_container_that_is_not_there_is_an_error(runs: Runs) -> None:
    with pytest.raises(NotFound, match="no such container"):
        runs(container="c2")
