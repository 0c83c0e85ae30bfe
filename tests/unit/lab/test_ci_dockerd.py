"""``.ci/dockerd`` with a Docker of the test's own: what it ends, and what it leaves alone."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
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

    def __init__(self, root: Path) -> None:
        self.state = root / "with a blank/pyinfra-gvisor"
        self.record = self.state / "dockerd.started"
        self.built, self.says, self._bin = (root / name for name in ("lab-build", "says", "bin"))
        for path in (self.state, self.built, self.says, self._bin):
            path.mkdir(parents=True)
        for command in ("ps", "images", "volume"):
            (self.says / command).touch()
        stub(self._bin, "docker", _DOCKER.replace("@SAYS@", str(self.says)))
        own = self._bin / "dockerd"
        subprocess.run(["gcc", "-x", "c", "-o", own, "-"], input=_WAITS, text=True, check=True)
        shutil.copy2(own, self.built)
        (self.built / "docker-proxy").write_text("")
        self.own = subprocess.Popen([own])
        stat = Path(f"/proc/{self.own.pid}/stat").read_text().rpartition(")")[2].split()
        self.record.write_text(f"{self.own.pid} {stat[19]}\n")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        home = str(self.state.parent)
        given = {"PATH": f"{self._bin}:{os.environ['PATH']}", "HOME": home, "XDG_CACHE_HOME": home}
        command = [str(SCRIPT), *arguments]
        return subprocess.run(
            command,
            env=given | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def running(self) -> str:
        """The program of the recorded process, or nothing."""
        try:
            return str(Path(f"/proc/{self.record.read_text().split()[0]}/exe").readlink())
        except OSError:
            return ""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine, on which nothing of the test's runs afterwards."""
    made = Machine(tmp_path)
    yield made
    made.own.kill()
    made.own.wait()
    if made.running.startswith(str(made.state)):
        os.kill(int(made.record.read_text().split()[0]), 9)


def test_a_built_docker_takes_the_place_of_the_machines_and_goes_again(machine: Machine) -> None:
    replaced = machine.run("replace", str(machine.built))
    running, own = machine.running, machine.own.poll()
    stopped = machine.run("stop")

    assert replaced.returncode == stopped.returncode == 0, replaced.stderr + stopped.stderr
    assert running == str(machine.state / "dockerd.programs/dockerd")
    assert own is not None
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
    "before, environment, says",
    used=(
        lambda machine: (machine.says / "ps").write_text("4f5c\n1a2b\n"),
        *({}, "containers run in this machine's Docker: 4f5c 1a2b"),
    ),
    silent=(
        lambda machine: (machine.says / "ps").unlink(),
        *({}, "Docker does not list its containers"),
    ),
    another_host=(str, {"DOCKER_HOST": "tcp://db:2375"}, "DOCKER_HOST is set"),
    another_starter=(
        lambda machine: machine.record.unlink(),
        *({}, "was not started by docker.service or the lab"),
    ),
)
def test_a_docker_that_somebody_else_uses_or_has_started_is_not_replaced(
    machine: Machine, before: Callable[[Machine], object], environment: dict[str, str], says: str
) -> None:
    before(machine)

    refused = machine.run("replace", str(machine.built), **environment)

    assert refused.returncode == 1
    assert says in refused.stderr
    assert machine.own.poll() is None
    assert not (machine.state / "dockerd.programs").exists()


@table(
    "command, text",
    container=("ps", "container db\n"),
    image=("images", "image shop:1\n"),
    volume=("volume", "volume data\n"),
)
def test_what_others_put_into_it_meanwhile_stays(machine: Machine, command: str, text: str) -> None:
    machine.run("replace", str(machine.built))
    (machine.says / command).write_text(text)

    stopped = machine.run("stop")

    assert stopped.returncode == 0
    assert f"that are not the lab's: {text.strip()}" in stopped.stderr
    assert machine.running == str(machine.state / "dockerd.programs/dockerd")
