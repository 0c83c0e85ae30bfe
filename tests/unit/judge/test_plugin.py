"""The plugin of dockerd's, and the program in its place: dockerd always gets an answer."""

import base64
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.judge.permits import HEADER, open_permit
from tests.unit.dispatch.judged import ID, Judged
from tests.unit.judge.resident import resident, served

PARTS = Path(__file__).parents[3] / "pyinfra_gvisor"
STAND_IN = PARTS / "parts" / "judge" / "stand_in.pl"
ASK = PARTS / "daemon_json" / "ask_plugins.pl"
ALLOWED = {"Allow": True}
CREATE = "POST /v1.45/containers/create"
BIND = {"HostConfig": {"Binds": ["/etc:/x"]}}


class Docker:
    """dockerd's client of a plugin: moby, pkg/plugins/client.go."""

    def __init__(self, at: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(30)
        self.connection.connect(str(at))
        self.answers = self.connection.makefile("rb")

    def call(self, path: str, body: bytes = b"") -> Any:
        """Ask as dockerd asks, and return the answer."""
        head = f"POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Length: {len(body)}\r\n\r\n"
        self.connection.sendall(head.encode() + body)
        assert self.answers.readline() == b"HTTP/1.1 200 OK\r\n"
        lines = iter(self.answers.readline, b"\r\n")
        headers = dict(line.decode().rstrip().split(": ") for line in lines)
        return json.loads(self.answers.read(int(headers["Content-Length"])))

    def asks(self, what: str, body: Any = None, **more: Any) -> Any:
        """Ask about a request, such as ``POST /containers/create``."""
        return self._show("/AuthZPlugin.AuthZReq", what, body, more)

    def told(self, what: str, body: Any = None, **more: Any) -> Any:
        """Ask whether the answer to a request may be sent."""
        return self._show("/AuthZPlugin.AuthZRes", what, body, more)

    def _show(self, path: str, what: str, body: Any, more: Mapping[str, Any]) -> Any:
        method, uri = what.split(" ", 1)
        shown: dict[str, Any] = {"RequestMethod": method, "RequestUri": uri, **more}
        if body is not None:
            shown["RequestBody"] = as_go_sends(body)
        text = json.dumps(shown, separators=(",", ":")).replace("&", "\\u0026")  # as Go does
        return self.call(path, text.encode())


def as_go_sends(body: Any) -> str:
    """Return bytes of JSON as a text in JSON."""
    return base64.b64encode(json.dumps(body).encode()).decode()


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node on which this process passes for dockerd."""
    found = Judged(tmp_path)
    open_files = tmp_path / "proc" / str(os.getpid()) / "fd"
    open_files.mkdir(parents=True)
    (open_files / "7").symlink_to(f"{found.data}/volumes/metadata.db")
    (found.data / "containers").mkdir()
    return found


@pytest.fixture
def running(node: Judged) -> Iterator[int]:
    """The resident judge, which gives a judgement a second."""
    program, at = node.wrapper["judge"], node.root / "door.sock"
    text = program.read_text()
    assert text.count("\nJUDGEMENT_S = 20 ") == 1
    program.write_text(text.replace("\nJUDGEMENT_S = 20 ", "\nJUDGEMENT_S = 1 "))
    with resident(node.root / "judge.sock", program, docker=at) as process:
        yield process.pid


@pytest.fixture
def plugin(node: Judged, running: int) -> Path:
    """The socket at which it answers dockerd."""
    assert running
    return node.root / "door.sock"


def test_it_is_an_authorization_plugin(plugin: Path) -> None:
    docker = Docker(plugin)

    assert docker.call("/Plugin.Activate") == {"Implements": ["authz"]}
    assert docker.call("/AuthZPlugin.AuthZRes", b"{}") == ALLOWED
    assert docker.asks("GET /_ping") == ALLOWED
    assert docker.asks(CREATE, {"Image": "bb:1"}) == ALLOWED
    assert docker.asks(CREATE, BIND)["Msg"].startswith("a sandbox may not have: mount of /etc")
    assert docker.call("/Else") == {"Err": "/Else is not known"}


def test_a_container_gets_the_permit_of_its_request_before_anybody_is_told_its_id(
    node: Judged, plugin: Path
) -> None:
    directory = node.root / "run"
    directory.mkdir(mode=0o700)
    open_permit("5" * 64, {}, 60, str(directory))
    docker, sent = Docker(plugin), {HEADER: "5" * 64}
    made = {"ResponseStatusCode": 201, "ResponseBody": as_go_sends({"Id": ID})}

    assert docker.asks(CREATE, BIND, RequestHeaders=sent) == ALLOWED
    assert docker.told(CREATE, BIND, RequestHeaders=sent) == ALLOWED  # the image is to be pulled
    assert docker.asks(CREATE, BIND, RequestHeaders=sent) == ALLOWED
    assert not (directory / f"permit-{ID}.container").exists()
    assert docker.told(CREATE, BIND, RequestHeaders=sent, **made) == ALLOWED
    assert (directory / f"permit-{ID}.container").exists()
    assert docker.asks(CREATE, BIND, RequestHeaders=sent)["Msg"].endswith("or is unknown")


@pytest.mark.parametrize("question", [b"", b"{", b"[]", b"{}", b'{"RequestMethod": "GET"}'])
def test_a_question_that_is_not_complete_is_refused(plugin: Path, question: bytes) -> None:
    said = Docker(plugin).call("/AuthZPlugin.AuthZReq", question)

    why = "dockerd sent an incomplete request to the judge; try again"
    assert said == {"Allow": False, "Msg": why}


@pytest.mark.parametrize(
    "text",
    [
        b"GET /Plugin.Activate HTTP/1.1\r\n\r\n",
        b"x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    ],
)
def test_others_than_docker_get_no_answer(plugin: Path, text: bytes) -> None:
    stranger = Docker(plugin)
    stranger.connection.sendall(text)

    assert stranger.answers.read() == b""
    assert Docker(plugin).asks("GET /_ping") == ALLOWED


SLOW = {"HostConfig": {"Binds": ["slow:/x"]}}


def test_a_judgement_that_waits_holds_up_no_other(node: Judged, plugin: Path) -> None:
    node.volume("slow")
    os.mkfifo(node.data / "volumes" / "slow" / "opts.json")
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(Docker(plugin).asks, CREATE, SLOW) for _ in range(8)]
        silent = [Docker(plugin) for _ in range(100)]
        for one in silent:
            one.connection.sendall(
                b"POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
            )

        said = [Docker(plugin).asks(CREATE, BIND)["Msg"] for _ in range(3)]

        assert not any(one.done() for one in slow)
        late = {one.result(30)["Msg"][:24] for one in slow}
    assert {text[:39] for text in said} == {"a sandbox may not have: mount of /etc o"}
    assert late == {"no decision within 1 s, "}


def waiting(program: int) -> int:
    """Return the process that waits for the next question."""
    before: list[str] = []
    for _ in range(200):
        found = Path(f"/proc/{program}/task/{program}/children").read_text().split()
        if len(found) == 1 and found == before:  # one that has answered ends soon
            return int(found[0])
        before = found
        time.sleep(0.05)
    raise AssertionError("none waits, or several")


@pytest.mark.parametrize("fault", [0, signal.SIGKILL])
def test_a_question_of_any_size_is_judged_also_if_the_process_that_waits_is_killed(
    running: int, plugin: Path, fault: int
) -> None:
    docker = Docker(plugin)
    docker.asks(CREATE, BIND)

    for _ in range(3):
        process = waiting(running)
        os.kill(process, fault)
        while fault and Path(f"/proc/{process}").exists():
            time.sleep(0.01)

        said = docker.asks(CREATE, {"Env": [f"A={'x' * 300_000}"], **BIND})["Msg"]

        assert said.startswith("a sandbox may not have: mount of /etc")


def test_a_program_that_ends_leaves_nobody_waiting_for_a_judgement_that_does_not_end(
    running: int, plugin: Path
) -> None:
    docker = Docker(plugin)
    docker.asks(CREATE, BIND)
    judge = waiting(running)
    os.kill(judge, signal.SIGSTOP)  # as on a file system that does not answer
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(docker.asks, CREATE, BIND)
            time.sleep(0.1)
            os.kill(running, signal.SIGKILL)

            with pytest.raises(AssertionError):  # an end instead of an answer
                asked.result(10)
    finally:
        os.kill(judge, signal.SIGKILL)


def test_a_plugin_that_only_reports_lets_everything_pass(node: Judged, plugin: Path) -> None:
    wrapper = node.wrapper["gvisordefault"]
    wrapper.write_text(wrapper.read_text().replace('"format":1', '"format":1,"door":"report"'))

    assert Docker(plugin).asks(CREATE, BIND) == ALLOWED


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Path]:
    """The socket at which the program answers that stands in for the judge."""
    with served((tmp_path / "judge.sock", tmp_path / "door.sock"), "perl", STAND_IN):
        yield tmp_path / "door.sock"


@pytest.mark.parametrize(
    ("what", "passes"),
    [
        ("GET /v1.45/containers/json", True),
        ("HEAD /_ping", True),
        ("POST /v1.45/containers/app/stop?t=1", True),
        ("POST /containers/app/kill", True),
        ("POST /containers/app/stop?signal=TERM&t=1", True),
        ("POST /containers/app/start", False),
        ("POST /containers/a%2fstart?/stop", False),
        (CREATE, False),
        ("DELETE /containers/app", False),
        ('POST /containers/create?name="RequestMethod":"GET"', False),
    ],
)
def test_the_stand_in_lets_reads_and_stops_pass(stand_in: Path, what: str, passes: bool) -> None:
    docker = Docker(stand_in)

    assert docker.call("/Plugin.Activate")["Implements"] == ["authz"]
    assert docker.asks(what)["Allow"] is passes
    assert docker.call("/AuthZPlugin.AuthZRes", b"{}") == ALLOWED


def test_the_stand_in_names_the_remedy(stand_in: Path) -> None:
    assert "reinstall python3" in Docker(stand_in).asks(CREATE, BIND)["Msg"]


def test_the_stand_in_at_a_path_ends_when_somebody_else_listens(tmp_path: Path) -> None:
    at = tmp_path / "door.sock"
    running = subprocess.Popen(["perl", STAND_IN, at])
    for _ in range(100):
        if subprocess.run(["perl", ASK, "5", at], check=False, capture_output=True).returncode == 0:
            break
        time.sleep(0.05)
    assert at.stat().st_mode & 0o777 == 0o600

    at.unlink()

    assert running.wait(30) == 0


def test_the_question_before_dockerd_asks(plugin: Path, tmp_path: Path) -> None:
    def asked(*paths: Path) -> tuple[int, str]:
        ran = subprocess.run(
            ["perl", ASK, "5", *paths], check=False, capture_output=True, text=True
        )
        return ran.returncode, ran.stdout

    silent = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(silent))
        nobody.listen()
        assert asked(plugin) == (0, "")
        assert asked(plugin, tmp_path / "none") == (1, f"{tmp_path}/none\n")
        assert asked(silent, plugin) == (1, f"{silent}\n")


def test_a_stand_in_is_told_from_the_judge(stand_in: Path) -> None:
    ran = subprocess.run(["perl", ASK, "5", stand_in], check=True, capture_output=True, text=True)

    assert ran.stdout == f"{stand_in}\n"
