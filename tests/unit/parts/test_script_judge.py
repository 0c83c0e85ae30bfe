"""``parts/judge/*.sh`` with paths of a test, and a systemctl that writes down what it is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import packed, script
from pyinfra_gvisor.parts.judge.files import NAME
from pyinfra_gvisor.parts.judge.state import JudgeState
from tests.table import table
from tests.unit.node_script import Machine
from tests.unit.shells import run, stub, systemctl, toolbox

HOST = {"operation": "judge.resident", "host": "run-1", "unit": NAME}


class Host:
    """A node with the judge's program, on which nothing of the service is."""

    def __init__(self, root: Path) -> None:
        self.units = root / "units"
        self.asked = root / "asked"
        self.program = root / "judge"
        self.path = toolbox(root / "bin", "ln")
        self.link = self.units / "sockets.target.wants" / f"{NAME}.socket"
        self.link.parent.mkdir(parents=True)
        self.program.touch()
        self.systemctl("inactive")
        stub(self.path, "journalctl", "echo 'Main process exited'")

    def systemctl(self, state: str, fails_at: str = "none") -> None:
        """Have units in this state, and a systemctl that fails at a command."""
        does = f"""
            case "$1" in
                enable) ln -sf x {self.link} ;;
                {fails_at}) exit 1 ;;
            esac"""
        systemctl(self.path, self.asked, state, does)

    def install(self, socket: str = "1") -> subprocess.CompletedProcess[str]:
        """Have the judge resident; ``socket``: the text of its unit."""
        units = {"service": "x", "socket": socket}
        words = [
            word
            for kind, text in units.items()
            for word in (f"{self.units}/{NAME}.{kind}", "644", packed(text))
        ]
        return self._run("install", *words, program=str(self.program))

    def remove(self) -> subprocess.CompletedProcess[str]:
        """Have no resident judge."""
        return self._run("remove")

    def told(self) -> list[str]:
        """What systemctl was asked to do since the last time, without the units' common name."""
        lines = self.asked.read_text().splitlines() if self.asked.exists() else []
        self.asked.unlink(missing_ok=True)
        return [line.replace(f"{NAME}.", "") for line in lines if not line.startswith("is-")]

    def files(self) -> set[str]:
        """The names of all files there."""
        return {path.name for path in self.units.rglob("*") if not path.is_dir()}

    def _run(self, step: str, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
        names = ("base/put_files", f"parts/judge/{step}")
        text = script(*names, **HOST, units=str(self.units), **given)
        return run(text, *words, path=self.path)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without a resident judge."""
    return Host(tmp_path)


STARTED = ["start socket", "restart service", "enable --quiet socket"]


@table(
    "state, socket, opens",
    {
        "runs": ("active", "1", False),
        "another-socket": ("active", "2", True),
        "down": ("failed", "1", True),
    },
)
def test_the_socket_stays_open_if_it_can(host: Host, state: str, socket: str, opens: bool) -> None:
    host.install()
    host.told()
    host.systemctl(state)

    ran = host.install(socket)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert host.told() == ["daemon-reload", *["stop service socket"] * opens, *STARTED]
    assert host.link.is_symlink()


@table("step", {"start": "start", "restart": "restart", "daemon-reload": "daemon-reload"})
def test_a_run_that_breaks_off_is_noticed_by_the_next(host: Host, step: str) -> None:
    host.install()
    host.systemctl("active", fails_at=step)

    ran = host.install()

    assert ran.returncode == 1
    assert not host.link.is_symlink()


def test_a_service_that_does_not_start_is_told_with_what_was_said(host: Host) -> None:
    host.systemctl("inactive", fails_at="restart")

    ran = host.install()

    said = f"judge.resident: {NAME}.service on run-1: this service does not start: Main process"
    assert ran.stderr.startswith(said)


def test_without_its_program_nothing_is_changed(host: Host) -> None:
    host.program.unlink()

    ran = host.install()

    assert ran.returncode == 1
    assert "this program is missing, and wrappers run it too; run the whole deploy" in ran.stderr
    assert (host.files(), host.told()) == (set(), [])


def test_nothing_is_left_and_a_second_removal_ends_well_too(host: Host) -> None:
    host.install()
    host.told()
    host.systemctl("active")

    ran, first = host.remove(), host.told()
    host.systemctl("inactive")
    again, second = host.remove(), host.told()

    assert [(item.returncode, item.stderr) for item in (ran, again)] == [(0, "")] * 2
    assert host.files() == set()
    assert first == ["stop socket", "stop service", "daemon-reload"]
    assert second == ["daemon-reload"]


KEEPER = "say() { printf '%s\\n' \"$*\"; }\n"


@table("state, wrong", {"active": ("active", 0), "failed": ("failed", 2)})
def test_the_keeper_notices_what_is_down_and_starts_it(host: Host, state: str, wrong: int) -> None:
    host.systemctl(state)
    text = KEEPER + script("parts/judge/keep", judge_name=NAME)

    said = run(f"{text}judge_wrong", path=host.path).stdout.splitlines()
    restored = run(f"{text}judge_restore", path=host.path)

    ends = "is not active, so containers start more slowly"
    assert len([line for line in said if line.endswith(ends)]) == wrong
    assert restored.returncode == 0
    assert host.told()[-1] == "start service"


def test_a_node_tells_its_units_and_asks_systemd_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    asked = tmp_path / "asked"
    stub(machine.path, "systemctl", f'echo "$*" >> {asked}; printf "active\\nfailed\\n"')
    without = machine.node().part(JudgeState)
    for kind in ("socket", "service"):
        (machine.units / f"{NAME}.{kind}").parent.mkdir(exist_ok=True)
        (machine.units / f"{NAME}.{kind}").touch()
    link = machine.units / "sockets.target.wants" / f"{NAME}.socket"
    link.parent.mkdir()
    link.symlink_to("nowhere")

    found = machine.node().part(JudgeState)

    assert without == JudgeState()
    assert (found.socket, found.service, found.enabled) == ("active", "failed", True)
    assert len(found.files) == 2
    assert asked.read_text() == f"is-active {NAME}.socket {NAME}.service\n"
