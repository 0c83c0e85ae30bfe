"""``.ci/dockerd`` with a Docker of the test's own: what it ends, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.table import table
from tests.unit.shells import stub

SCRIPT = Path(__file__).parents[3] / ".ci/dockerd"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts dockerd")
pytestmark = ROOT_ONLY

_WAITS = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
# Answers, and says what is in it: the lines of a file for each command.
_DOCKER = 'case "$1" in version) exit 0 ;; esac\ncat "@SAYS@/$1"\n'


class Machine:
    """A machine on which the lab has started the machine's dockerd."""

    def __init__(self, root: Path, waits: Path) -> None:
        self.state = root / "with a blank/pyinfra-gvisor"
        self.state.mkdir(parents=True)
        self.says = root / "says"
        self.says.mkdir()
        for command in ("ps", "images", "volume"):
            self.say(command, "")
        self._bin = root / "bin"
        self._bin.mkdir()
        stub(self._bin, "docker", _DOCKER.replace("@SAYS@", str(self.says)))
        self.built = root / "lab-build"
        self.built.mkdir()
        self._programs = [self._bin / "dockerd", self.built / "dockerd"]
        for program in self._programs:
            shutil.copy2(waits, program)
        (self.built / "docker-proxy").write_text("")
        self._started = subprocess.Popen([self._programs[0]])
        self.record(self._started.pid)

    def say(self, command: str, text: str | None) -> None:
        """Have ``docker <command>`` say this, or fail."""
        path = self.says / command
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)

    def record(self, pid: int) -> None:
        """Write down that the lab has started this process."""
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        (self.state / "dockerd.started").write_text(f"{pid} {stat[19]}\n")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        given = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "HOME": str(self.state.parent),
            "XDG_CACHE_HOME": str(self.state.parent),
            **environment,
        }
        return subprocess.run(
            [SCRIPT, *arguments], env=given, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def machines_own_runs(self) -> bool:
        """Whether the dockerd of the machine still runs."""
        return self._started.poll() is None

    @property
    def running(self) -> str:
        """The program of the recorded process, or nothing."""
        path = self.state / "dockerd.started"
        if not path.exists():
            return ""
        link = Path(f"/proc/{path.read_text().split()[0]}/exe")
        try:
            return str(link.readlink())
        except OSError:
            return ""

    def end(self) -> None:
        """End what the test has started."""
        self._started.kill()
        self._started.wait()
        path = self.state / "dockerd.started"
        if self.running.startswith(str(self.state)):
            os.kill(int(path.read_text().split()[0]), 9)


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that does nothing."""
    source = tmp_path_factory.mktemp("waits") / "waits.c"
    source.write_text(_WAITS)
    subprocess.run(["gcc", "-o", source.with_suffix(""), source], check=True)
    return source.with_suffix("")


@pytest.fixture
def machine(tmp_path: Path, waits: Path) -> Iterator[Machine]:
    """A machine, on which nothing of the test's runs afterwards."""
    made = Machine(tmp_path, waits)
    yield made
    made.end()


def test_a_built_docker_takes_the_place_of_the_machines_and_goes_again(machine: Machine) -> None:
    replaced = machine.run("replace", str(machine.built))
    running, own = machine.running, machine.machines_own_runs
    stopped = machine.run("stop")

    assert replaced.returncode == stopped.returncode == 0, replaced.stderr + stopped.stderr
    assert running == str(machine.state / "dockerd.programs/dockerd")
    assert own is False
    assert "runs instead of this machine's Docker until" in replaced.stderr
    assert not machine.state.exists()


def test_it_can_be_replaced_by_a_later_one(machine: Machine) -> None:
    machine.run("replace", str(machine.built))
    (machine.built / "docker-proxy").write_text("later")

    again = machine.run("replace", str(machine.built))

    programs = machine.state / "dockerd.programs"
    assert again.returncode == 0, again.stderr
    assert {path.name for path in programs.iterdir()} == {"daemon.json", "docker-proxy", "dockerd"}
    assert (programs / "docker-proxy").read_text() == "later"


@table(
    "running, environment, says",
    {
        "used": ("4f5c\n1a2b\n", {}, "containers run in this machine's Docker: 4f5c 1a2b"),
        "silent": (None, {}, "Docker does not list its containers"),
        "another-host": ("", {"DOCKER_HOST": "tcp://db:2375"}, "DOCKER_HOST is set"),
    },
)
def test_a_docker_that_somebody_uses_is_not_replaced(
    machine: Machine, running: str | None, environment: dict[str, str], says: str
) -> None:
    machine.say("ps", running)

    refused = machine.run("replace", str(machine.built), **environment)

    assert refused.returncode == 1
    assert says in refused.stderr
    assert machine.machines_own_runs
    assert not (machine.state / "dockerd.programs").exists()


def test_a_docker_that_somebody_else_has_started_is_not_replaced(machine: Machine) -> None:
    (machine.state / "dockerd.started").unlink()

    refused = machine.run("replace", str(machine.built))

    assert refused.returncode == 1
    assert "was not started by docker.service or the lab" in refused.stderr
    assert machine.machines_own_runs


@table(
    "command, text",
    {
        "container": ("ps", "container db\n"),
        "image": ("images", "image shop:1\n"),
        "volume": ("volume", "volume data\n"),
    },
)
def test_what_others_put_into_it_meanwhile_stays(machine: Machine, command: str, text: str) -> None:
    machine.run("replace", str(machine.built))
    machine.say(command, text)

    stopped = machine.run("stop")

    assert stopped.returncode == 0
    assert f"that are not the lab's: {text.strip()}" in stopped.stderr
    assert machine.running == str(machine.state / "dockerd.programs/dockerd")
