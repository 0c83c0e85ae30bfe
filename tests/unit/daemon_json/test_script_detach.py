"""Apart from the session, and still what it waits for; a later run ends what was left."""

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.daemon_json import transaction
from pyinfra_gvisor.daemon_json.transaction import resumption
from pyinfra_gvisor.node import STATE_DIR
from tests.table import table
from tests.unit.node_script import process
from tests.unit.shells import replaced, stub, toolbox
from tests.unit.waiting import until

DEAD = 2**22 + 1  # above the highest number that a process can have
WAITED_S = 20
SYSTEMD_RUN = """
while [ "${1#--}" != "$1" ]; do echo "$1" >> "$0.told"; shift; done
setsid "$@" < /dev/null > /dev/null 2>&1 &
"""


class Detached:
    """The script with a directory of the test's own, and who starts what it detaches."""

    def __init__(self, root: Path) -> None:
        self.runs = root / "runs"
        self.state = root / "state"
        self.systemd = root / "systemd"
        self.path = toolbox(root / "bin", "setsid")
        self.root = root
        stub(self.path, "systemd-run", SYSTEMD_RUN)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, text: str) -> subprocess.Popen[str]:
        """The script, with ``text`` as what it is to run, not waited for."""
        follower, stdin = transaction.detached(f"{text}\n")
        return self.start_with(follower, stdin)

    def start_with(self, follower: str, stdin: str) -> subprocess.Popen[str]:
        """The script as it is, with anything on its standard input."""
        changed = {
            "/run/pyinfra-gvisor": self.runs,
            "/run/systemd/system": self.systemd,
            "/var/lib/pyinfra-gvisor": self.state,
        }
        begun = subprocess.Popen(
            # under nohup a shell could not even ask to be told of a lost connection
            ["/usr/bin/env", "--default-signal=HUP", "sh", "-c", replaced(follower, changed)],
            env={"PATH": str(self.path), "HOME": "/nonexistent"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(begun)
        assert begun.stdin
        begun.stdin.write(stdin)
        begun.stdin.close()
        begun.stdin = None
        return begun

    def run(self, text: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of the script."""
        begun = self.start(text)
        out, err = begun.communicate(timeout=WAITED_S)
        return begun.returncode, out, err

    def left(self) -> list[str]:
        """The directories of runs that are still there."""
        return sorted(item.name for item in self.runs.glob("*"))

    def old_run(self, name: str, *, pid: int | str | None = None, follower: int = DEAD) -> None:
        """The directory of an earlier run."""
        directory = self.runs / f"run.{name}"
        directory.mkdir(parents=True)
        (directory / "follower").write_text(f"{follower}\n")
        if pid is not None:
            (directory / "pid").write_text(f"{pid}\n" if pid else "")


@pytest.fixture
def detached(tmp_path: Path) -> Iterator[Detached]:
    """The script; what is still running at the end is ended."""
    made = Detached(tmp_path)
    yield made
    for begun in made.started:
        if begun.poll() is None:
            begun.kill()
        begun.wait()


@table("systemd", systemd=True, no_systemd=False)
@table(
    "text, expected",
    fails=("echo out; echo err >&2; exit 7", (7, "out\n", "err\n")),
    ends_well=("echo out; echo err >&2", (0, "out\n", "err\n")),
    nothing=("", (0, "\n", "")),
    stops=("set -eu; false; echo unreachable", (1, "\n", "")),
    to_the_byte=("printf 'a\\n\\n  b%%'", (0, "a\n\n  b%", "")),
    not_understood=("if then", (2, "", None)),
)
def test_exit_code_and_both_streams_are_those_of_the_script(
    detached: Detached, text: str, expected: tuple[int, str, str | None], systemd: bool
) -> None:
    if systemd:
        detached.systemd.mkdir()

    code, out, err = detached.run(text)

    assert (code, out) == expected[:2]
    assert expected[2] in (None, err)
    assert (detached.path / "systemd-run.told").exists() is systemd
    assert detached.left() == []


@pytest.mark.parametrize("text", ["true", "echo done"], ids=["silent", "says-something"])
@pytest.mark.parametrize("ending", ["stream", "follower"])
def test_a_result_that_nobody_heard_is_noted_until_the_next_script(
    detached: Detached, text: str, ending: str
) -> None:
    detached.state.mkdir()
    go_on = detached.root / "go on"
    begun = detached.start(f"until [ -e '{go_on}' ]; do sleep 0.05; done; {text}; exit 3")
    until(lambda: any(detached.runs.glob("*/pid")))

    if ending == "follower":
        begun.kill()
        begun.wait()
    for stream in (begun.stdout, begun.stderr):
        assert stream
        stream.close()
    go_on.touch()

    until(lambda: not detached.left())
    assert (detached.state / "unheard").read_text() == "3\n"
    detached.run("exit 4")
    assert not (detached.state / "unheard").exists()


def test_a_script_that_is_longer_than_a_pipe_goes_over_whole(detached: Detached) -> None:
    text = f"text='{'x' * 300_000}'\n" + "printf '%s' \"${#text}\""

    assert detached.run(text) == (0, "300000", "")


def test_the_script_runs_in_a_session_of_its_own_and_what_it_says_is_for_root_alone(
    detached: Detached,
) -> None:
    session = "read -r _ _ _ _ _ session _ < /proc/self/stat; echo $session"

    _, out, _ = detached.run(f'{session}; stat -c %a "${{0%/*}}" "$0" "${{0%/*}}/out"')

    found, *modes = out.split()
    assert int(found) != os.getsid(0)
    assert modes == ["700", "600", "600"]


@table(
    "ended_by",
    connection_lost=signal.SIGHUP,
    terminated=signal.SIGTERM,
    killed=signal.SIGKILL,
)
def test_when_the_session_ends_the_script_goes_on_and_takes_its_directory_along(
    detached: Detached, ended_by: signal.Signals
) -> None:
    go, done = detached.root / "go", detached.root / "done"
    text = f"echo begun; while [ ! -e '{go}' ]; do sleep 0.02; done; echo done > '{done}'"
    begun = detached.start(text)
    until(lambda: any(detached.runs.glob("run.*/pid")))

    begun.send_signal(ended_by)
    begun.wait(timeout=WAITED_S)
    alone = (done.exists(), len(detached.left()))
    go.touch()

    until(done.exists)
    until(lambda: detached.left() == [])
    assert alone == (False, 1)


def test_a_script_that_was_killed_is_told_of_and_leaves_nothing(detached: Detached) -> None:
    begun = detached.start("exec sleep 60")
    until(lambda: any(item.read_text() for item in detached.runs.glob("run.*/pid")))
    (pid_file,) = detached.runs.glob("run.*/pid")
    runner = int(pid_file.read_text())

    os.killpg(os.getpgid(runner), signal.SIGKILL)
    _, err = begun.communicate(timeout=WAITED_S)

    assert begun.returncode == 1
    assert err.startswith("the script on the node was killed before it ended; run again")
    assert detached.left() == []


@table("who", script="pid", session="follower")
def test_a_run_of_which_somebody_is_alive_is_kept(detached: Detached, who: str) -> None:
    with process() as alive:
        detached.old_run("other", **{"pid": DEAD, "follower": DEAD, who: alive})

        code, _, _ = detached.run(":")

        assert (code, detached.left()) == (0, ["run.other"])


@table("pid, is_kept", no=(None, True), empty=("", True), dead=(DEAD, False))
def test_what_dead_runs_have_left_is_removed_and_one_that_is_about_to_start_kept(
    detached: Detached, pid: int | str | None, is_kept: bool
) -> None:
    detached.old_run("other", pid=pid)
    detached.old_run("gone", pid=DEAD + 1)

    detached.run(":")

    assert detached.left() == ["run.other"] * is_kept


def test_two_runs_at_once_do_not_disturb_each_other(detached: Detached) -> None:
    go = detached.root / "go"
    waiting = f"while [ ! -e '{go}' ]; do sleep 0.02; done; echo first; exit 3"
    first = detached.start(waiting)
    until(lambda: any(detached.runs.glob("run.*/pid")))

    second = detached.run("echo second; exit 4")
    go.touch()
    out, _ = first.communicate(timeout=WAITED_S)

    assert second == (4, "second\n", "")
    assert (first.returncode, out) == (3, "first\n")
    assert detached.left() == []


@table(
    "arrived",
    nothing=0,
    a_piece_of_a_line=3,
    all_but_its_end=-len(transaction.END) - 2,
    not_all_of_its_end=-2,
)
def test_what_arrives_in_part_is_not_begun(detached: Detached, arrived: int) -> None:
    follower, stdin = transaction.detached("echo one\necho two\n")

    begun = detached.start_with(follower, stdin[:arrived])
    out, err = begun.communicate(timeout=WAITED_S)

    assert (begun.returncode, out) == (1, "")
    assert err == ("the node received only a part of its script; nothing was changed, run again\n")
    assert not detached.runs.exists()


@table("text", short="echo done", more_than_a_pipe_holds="# a long line of text\n" * 10_000)
def test_a_node_without_room_for_it_is_an_error_once_all_is_read(
    detached: Detached, text: str
) -> None:
    detached.runs.write_text("a file where the directory should be")

    code, out, err = detached.run(text)

    assert (code, out, "mkdir" in err) == (1, "", True)


def resumed(directory: Path) -> subprocess.CompletedProcess[str]:
    """The script with a directory of records of the test's own."""
    text = resumption().replace(STATE_DIR, str(directory))
    return subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The script that an interrupted change leaves."""
    pending = tmp_path / "state" / "pending"
    pending.mkdir(parents=True)
    for directory in (pending.parent, pending):
        directory.chmod(0o700)
    script = pending / "transaction.sh"
    script.write_text('echo "$1"')
    script.chmod(0o600)
    sha256 = hashlib.sha256(script.read_bytes()).hexdigest()
    (pending.parent / "pending.sha256").write_text(f"{sha256}\n")
    return script


def test_its_own_script_ends_it_where_it_has_not_ended_meanwhile(
    left: Path, tmp_path: Path
) -> None:
    ran = resumed(left.parent.parent)
    ended = resumed(tmp_path / "none")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "resume\n", "")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


# dockerd makes files and directories for mounts, as root, before a container is refused.
OTHER: dict[str, Callable[[Path], object]] = {
    "gone": lambda script: script.unlink(),
    "empty": lambda script: script.write_text(""),
    "another": lambda script: script.write_text("echo another"),
    "no-checksum": lambda script: (script.parent.parent / "pending.sha256").unlink(),
    "mode": lambda script: script.chmod(0o755),
    "directory": lambda script: (script.unlink(), script.mkdir(0o700)),
    "directory-above": lambda script: script.parent.chmod(0o755),
    "records": lambda script: script.parent.parent.chmod(0o755),
    "symbolic-link": lambda script: script.symlink_to(script.rename(script.with_name("other"))),
    "hard-link": lambda script: script.with_name("other").hardlink_to(script),
    "linked-directory": lambda script: script.parent.symlink_to(
        script.parent.rename(script.parent.with_name("other"))
    ),
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_a_script_that_is_missing_or_not_ours_is_not_run(
    left: Path, change: Callable[[Path], object]
) -> None:
    change(left)

    ran = resumed(left.parent.parent)

    assert (ran.returncode, ran.stdout) == (1, "")
    said = f"{left}, which undoes this change, is missing or was not written by pyinfra-gvisor. "
    assert said in ran.stderr
    assert f"remove {left.parent}, and run again" in ran.stderr
    assert left.parent.exists()
