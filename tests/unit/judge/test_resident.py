"""The resident judge: it answers wrappers at once, and nothing depends on it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyinfra_gvisor.dispatch.programs import asking_program
from tests.unit.dispatch.judged import ID, NOT_ALLOWED, TODO, Judged
from tests.unit.judge.resident import listening, resident

REFUSED = f"{NOT_ALLOWED}privileged{TODO}"


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node with a container that is refused, whose own Python cannot be started."""
    found = Judged(tmp_path)
    found.is_whole = True
    found.container(host={"Privileged": True})
    found.spec()
    (tmp_path / "run").mkdir(mode=0o700)
    for path in (found.wrapper["gvisor"], found.wrapper["gvisordefault"]):
        path.write_text(path.read_text().replace("/usr/bin/python3", f"{tmp_path}/python3"))
    return found


def socket_of(node: Judged) -> Path:
    """Where its wrappers ask."""
    return node.root / "run" / "judge.sock"


@contextmanager
def judging(node: Judged) -> Iterator[subprocess.Popen[bytes]]:
    """Its judge, resident."""
    with resident(socket_of(node), node.wrapper["judge"]) as running:
        yield running


def has_own(node: Judged) -> None:
    """Let wrappers run the judge by themselves, and write down that they did."""
    path = node.root / "python3"
    path.write_text(f'#!/bin/sh\n: > {node.root}/alone\nexec /usr/bin/python3 "$@"\n')
    path.chmod(0o755)


def test_a_wrapper_asks_the_resident_judge(node: Judged) -> None:
    with judging(node):
        said = node.create()

    assert said == REFUSED
    assert node.create() == (
        f"refused: {node.root}/python3 is missing, so this container was not started; "
        "install python3"
    )


def test_a_judge_of_another_checksum_does_not_answer(node: Judged, tmp_path: Path) -> None:
    has_own(node)
    other = tmp_path / "judge-20260928.0-00000000"
    other.write_text(node.wrapper["judge"].read_text())

    with resident(socket_of(node), other):
        said = node.create()

    assert said == REFUSED
    assert (tmp_path / "alone").exists()


def impatient(node: Judged) -> None:
    """Have wrappers wait for a resident judge for 1 s, not for 5."""
    wrapper = node.wrapper["gvisor"]
    text = wrapper.read_text()
    assert text.count("($socket, 5, ") == 1
    wrapper.write_text(text.replace("($socket, 5, ", "($socket, 1, "))


def test_a_judge_that_is_stopped_is_not_waited_for(node: Judged) -> None:
    has_own(node)
    impatient(node)

    with judging(node) as running:
        node.create()
        running.send_signal(signal.SIGSTOP)
        said = node.create()

    assert said == REFUSED
    assert (node.root / "alone").exists()


def test_a_socket_at_which_nobody_answers_is_not_waited_for(node: Judged) -> None:
    has_own(node)
    impatient(node)

    with listening(socket_of(node)):
        said = node.create()

    assert said == REFUSED


def test_a_judge_that_is_killed_while_it_decides_is_followed_by_the_wrappers_own(
    node: Judged,
) -> None:
    has_own(node)
    path = node.bundle / "config.json"
    text = path.read_text()
    path.unlink()
    os.mkfifo(path)

    with judging(node) as running, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(node.create)
        child = wait_for_child(running.pid)
        os.kill(child, signal.SIGKILL)
        while not (node.root / "alone").exists():
            time.sleep(0.01)
        path.write_text(text)

        assert asked.result(30) == REFUSED


def wait_for_child(pid: int) -> int:
    """Return the process of a question."""
    for _ in range(1000):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("no question was taken")


def test_slow_and_damaged_questions_hold_up_nobody(node: Judged) -> None:
    slow = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    with judging(node):
        node.create()
        for one in slow:
            one.connect(str(socket_of(node)))
        slow[0].sendall(b"pyinfra-gvisor asks\0-\0call\0x")
        slow[0].shutdown(socket.SHUT_WR)

        said = node.create()

        assert slow[0].makefile("rb").read() == b"begun\n"
        for one in slow:
            one.close()
    assert said == REFUSED


def test_a_decision_that_takes_too_long_refuses(node: Judged) -> None:
    wrapper, path = node.wrapper["gvisor"], node.bundle / "config.json"
    wrapper.write_text(wrapper.read_text().replace("\nlimit_s=60\n", "\nlimit_s=1\n"))
    path.unlink()
    os.mkfifo(path)

    with judging(node):
        said = node.create()

    assert said.startswith("refused: no decision within 1 s, so this container was not started")


@pytest.mark.root
def test_who_sees_other_mounts_gets_no_answer(node: Judged) -> None:
    command = ("unshare", "-m", "perl", "-e", asking_program(), socket_of(node), "60")
    with judging(node):
        asked = {
            elsewhere: subprocess.run(
                command[2 * (not elsewhere) :],
                check=False,
                input="pyinfra-gvisor asks\0-\0other\0",
                capture_output=True,
                text=True,
            ).returncode
            for elsewhere in (False, True)
        }

    assert asked == {False: 2, True: 75}


def test_a_hundred_containers_at_once_are_judged(node: Judged) -> None:
    checksum = node.wrapper["judge"].name.rpartition("-")[2]
    begin = ("pyinfra-gvisor asks", checksum, "call")
    words = (*begin, node.wrapper["gvisor"], "create", "", "/")
    call = (*words, node.bundle, "create", "--bundle", node.bundle, ID)
    question = "".join(f"{word}\0" for word in call)

    def ask(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["perl", "-e", asking_program(), socket_of(node), "60"],
            check=False,
            input=question,
            capture_output=True,
            text=True,
        )

    with judging(node), ThreadPoolExecutor(20) as pool:
        found = {(ran.returncode, ran.stdout) for ran in pool.map(ask, range(100))}

    assert found == {(3, REFUSED.replace("refused:", "pyinfra-gvisor:"))}
