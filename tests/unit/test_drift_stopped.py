"""The drift command when it is stopped: by its own limit, or by somebody else."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.drift_command import Folder, states
from tests.unit.waiting import until

TIMEOUT_S = "10"  # pyinfra has to have come as far as the hosts, on a busy machine too

# A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
IN_BACKGROUND = signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_run_that_takes_too_long_is_stopped_with_what_it_started(folder: Folder) -> None:
    ran = folder.drift("half.py", "hanging.py", "--timeout-s", TIMEOUT_S, "--json")

    assert ran.returncode == 1
    assert (
        json.loads(ran.stdout)["errors"][0] == "pyinfra did not finish within 10 s and was stopped"
    )
    assert states(ran) == {"@local": "unknown", "127.0.0.1": "unreachable"}
    assert is_gone(int((folder.path / "pid").read_text()))


def test_a_server_that_says_nothing_is_named_when_time_is_up(folder: Folder) -> None:
    with silent_server() as port:
        ran = folder.drift(
            *("@local,127.0.0.1", "still.py", "--timeout-s", TIMEOUT_S, "--json"),
            *("--", "--ssh-port", str(port)),
        )

    assert ran.returncode == 1
    assert states(ran) == {"@local": "unknown", "127.0.0.1": "unreachable"}


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="terminated"),
        pytest.param(
            signal.SIGINT,
            id="interrupted",
            marks=pytest.mark.skipif(IN_BACKGROUND, reason="SIGINT is ignored here"),
        ),
    ],
)
def test_a_command_that_is_stopped_leaves_nothing_behind(
    folder: Folder, number: signal.Signals
) -> None:
    process = folder.start("here.py", "hanging.py")
    pid = folder.path / "pid"
    until(lambda: pid.exists() and pid.read_text() != "")

    process.send_signal(number)

    assert process.wait(timeout=20) == 130
    assert process.communicate()[1] == b"\npyinfra-gvisor: interrupted\n"
    assert is_gone(int(pid.read_text()))


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, now or within a moment."""
    until(lambda: not Path(f"/proc/{pid}").exists() or _is_dead(pid))
    return True


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
