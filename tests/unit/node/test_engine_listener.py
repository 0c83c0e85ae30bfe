"""Which engine answers at Docker's socket, and that no program of ours can be sent to another."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import PATH, SOCKET, script
from pyinfra_gvisor.node.engine import Listener
from pyinfra_gvisor.parts.resolver.forwarder.engine import SOCKET as ASKED
from tests.table import table
from tests.unit.fake_docker import daemon
from tests.unit.node_script import Machine
from tests.unit.shells import run, stub

DOCKERD = 812
ELSEWHERE = "/d2/sock"
RUN, OWN = "/var/run/docker", ["", "/run/docker.sock"]


_LISTENS = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
one.bind(sys.argv[1])
one.listen()
print("listens", flush=True)
sys.stdin.read()
"""


@contextmanager
def listening(path: Path) -> Iterator[int]:
    """A process that listens on a socket; yields its pid."""
    command = [sys.executable, "-c", _LISTENS, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as begun:
        begun.stdout.readline()
        yield begun.pid


@table(
    "peer, sockets, answers",
    dockerd_itself=(f"{DOCKERD} dockerd", [], True),
    systemd_for_dockerd=("1 systemd", OWN, True),
    and_more_sockets=("1 systemd", [*OWN, f"{RUN}/libnetwork/1a2b.sock", ELSEWHERE], True),
    a_manager_of_a_swarm=("1 systemd", [*OWN, f"{RUN}/swarm/control.sock"], False),
    hangs=(None, ["", SOCKET], False),
    only_root_may_know=(None, [], False),
)
def test_the_nodes_dockerd_is_fine(peer: str | None, sockets: list[str], answers: bool) -> None:
    assert Listener.of(peer, sockets).problem(DOCKERD, answers=answers) is None


@table(
    "peer, sockets, answers, got",
    taken=("9 dockerd", ["", SOCKET], True, "dockerd (process 9)"),
    of_another_machine=("0 ?", ["", SOCKET], True, "? (process 0)"),
    elsewhere=("9 dockerd", ["", ELSEWHERE], True, ELSEWHERE),
    elsewhere_alone=(None, ["", ELSEWHERE], False, ELSEWHERE),
    network_only=(None, [""], False, "no unix socket"),
    # systemd hands docker.socket on, also to a dockerd that was told to listen elsewhere
    not_served=("1 systemd", [*OWN, ELSEWHERE], False, ELSEWHERE),
)
def test_who_else_would_be_asked_is_named_with_both_sockets(
    peer: str | None, sockets: list[str], answers: bool, got: str
) -> None:
    problem = Listener.of(peer, sockets).problem(DOCKERD, answers=answers)

    assert SOCKET in problem.what
    assert problem.got == got


def test_a_node_tells_who_answers_and_where_dockerd_listens(tmp_path: Path) -> None:
    machine, own = Machine(tmp_path), tmp_path / "own.sock"
    with listening(own) as pid, daemon(machine.socket, {}):
        (machine.root / "docker.pid").write_text(str(pid))
        found = machine.node().listener

    assert (found.pid, found.sockets) == (os.getpid(), (str(own),))


def test_no_environment_sends_a_program_of_ours_elsewhere_nor_the_resolver(tmp_path: Path) -> None:
    stub(tmp_path, "docker", "env")
    given = "export DOCKER_HOST=tcp://a DOCKER_CONTEXT=b DOCKER_TLS_VERIFY=1 DOCKER_CONFIG=/root\n"

    ran = run(f"{given}PATH={tmp_path}\n{script()}{tmp_path}/docker")

    known = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert known["PATH"] == PATH
    assert {name: value for name, value in known.items() if name.startswith("DOCKER")} == {
        "DOCKER_HOST": f"unix://{SOCKET}",
        "DOCKER_CONFIG": "/proc/no-docker-config",
    }
    assert ASKED == SOCKET
    assert Listener.of("9 dockerd", []).problem(None, answers=True) is None, "with none to compare"


@pytest.mark.parametrize("name", ["LC_ALL", "LANG", "LC_MESSAGES"])
def test_a_locale_that_is_not_installed_adds_nothing_to_an_answer(name: str) -> None:
    ran = run(f"export {name}=xx_YY.UTF-8\n{script()}perl -e 'print qq(same)' 2>&1")

    assert ran.stdout == "same"


def test_what_containers_can_write_to_is_searched_last() -> None:
    system = [path for path in PATH.split(":") if not path.startswith("/usr/local")]

    assert PATH.split(":")[: len(system)] == system
