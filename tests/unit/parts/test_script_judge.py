"""``parts/judge/*.sh`` with paths of a test, and a systemctl that writes down what it is asked."""

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import packed, script
from pyinfra_gvisor.judge.rules import PLUGIN
from pyinfra_gvisor.parts.judge.files import NAME
from pyinfra_gvisor.parts.judge.state import JudgeState
from tests.table import table
from tests.unit.node_script import Machine
from tests.unit.shells import run, stub, systemctl, toolbox

HOST = {"operation": "judge.resident", "host": "run-1", "unit": NAME}
Ran = subprocess.CompletedProcess[str]


class Host:
    """A node with the judge's program, on which nothing of the service is."""

    def __init__(self, root: Path) -> None:
        self.units = root / "units"
        self.asked = root / "asked"
        self.program = root / "judge"
        self.directory = root / "programs"
        self.daemon_json = root / "daemon.json"
        self.asked_at = root / "asked.sock"
        self.links = root / "links"
        self.path = toolbox(root / "bin", "ln", "rmdir")
        self.drop_in = self.units / "docker.service.d" / f"{NAME}.conf"
        self.link = self.units / "sockets.target.wants" / f"{NAME}.socket"
        self.link.parent.mkdir(parents=True)
        self.program.touch()
        self.directory.mkdir()
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

    def install(self, socket: str = "1", *, asked: bool = False, safe: bool = True) -> Ran:
        """
        Have the judge resident; ``socket``: the text of its unit; ``asked``: by dockerd.

        + safe: whether links in volumes are not followed then
        """
        files = {f"{self.units}/{NAME}.service": "x", f"{self.units}/{NAME}.socket": socket}
        if asked:
            stub(self.directory, "volumes", f"echo $1 > {self.links}; exit {int(not safe)}")
            files |= {str(self.drop_in): "x"}
        words = [word for path, text in files.items() for word in (path, "644", packed(text))]
        address = "/run/asked.sock" if asked else ""
        return self._run("install", *words, program=str(self.program), address=address)

    def remove(self) -> Ran:
        """Have no resident judge."""
        return self._run("remove")

    def answering(self, code: int) -> None:
        """Have somebody answer where dockerd asks, or nobody."""
        stub(self.path, "perl", f'[ {code} = 0 ] || echo "$3"; exit {code}')

    def told(self) -> list[str]:
        """What systemctl was asked to do since the last time, without the units' common name."""
        lines = self.asked.read_text().splitlines() if self.asked.exists() else []
        self.asked.unlink(missing_ok=True)
        return [line.replace(f"{NAME}.", "") for line in lines if not line.startswith("is-")]

    def files(self) -> set[str]:
        """The names of all files there."""
        return {path.name for path in self.units.rglob("*") if not path.is_dir()}

    def _run(self, step: str, *words: str, **given: str) -> Ran:
        names = ("base/put_files", "parts/judge/door", f"parts/judge/{step}")
        given |= {"directory": str(self.directory), "file": str(self.daemon_json)}
        given |= {"listens_at": str(self.asked_at), "permits": str(self.units / "permit-")}
        text = script(*names, **HOST, units=str(self.units), plugin=PLUGIN, **given)
        return run(text, *words, path=self.path)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without a resident judge."""
    return Host(tmp_path)


STARTED = ["start socket", "restart service", "enable --quiet socket"]


@table(
    "state, socket, opens",
    runs=("active", "1", False),
    another_socket=("active", "2", True),
    down=("failed", "1", True),
)
def test_the_socket_stays_open_if_it_can(host: Host, state: str, socket: str, opens: bool) -> None:
    host.install()
    host.told()
    host.systemctl(state)

    ran = host.install(socket)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert host.told() == ["daemon-reload", *["stop service socket"] * opens, *STARTED]
    assert host.link.is_symlink()


@table("step", start="start", restart="restart", daemon_reload="daemon-reload")
def test_a_run_that_breaks_off_is_noticed_by_the_next(host: Host, step: str) -> None:
    host.install()
    host.systemctl("active", fails_at=step)

    assert host.install().returncode == 1
    assert not host.link.is_symlink()


def test_it_answers_whether_links_are_settled_or_the_socket_is_opened_anew_and_that_is_told(
    host: Host,
) -> None:
    host.answering(0)
    well = [host.install(asked=True, safe=safe) for safe in (True, False)]
    links = host.links.read_text()
    host.told()
    host.systemctl("active")
    host.answering(1)

    ran = host.install(asked=True)

    assert [(one.returncode, one.stderr) for one in well] == [(0, "")] * 2
    assert links == "sync\n"
    assert host.told() == ["daemon-reload", "stop service socket", *STARTED[:-1]]
    said = "the judge does not answer at /run/asked.sock: Main process exited"
    assert f"{NAME}.service on run-1: {said}" in ran.stderr


@table("step", install="install", remove="remove")
def test_while_daemon_json_has_dockerd_ask_it_stays_so(host: Host, step: str) -> None:
    host.answering(0)
    host.install(asked=True)
    host.told()
    host.daemon_json.write_text(f'{{"authorization-plugins": ["other",\n "{PLUGIN}"]}}')
    there = host.files()

    ran = getattr(host, step)()

    assert "names the authorization plugin pyinfra-gvisor, without which" in ran.stderr
    assert (host.files(), host.told()) == (there, [])


def test_dockerd_does_not_wait_for_one_that_it_does_not_ask(host: Host) -> None:
    host.answering(0)
    host.install(asked=True)
    host.daemon_json.write_text('{"authorization-plugins": ["other"]}')

    host.asked_at.touch()  # of a program that stands in for the judge

    ran = host.install("2")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert not host.drop_in.parent.exists()
    assert not host.asked_at.exists()
    assert host.links.read_text() == "release\n"


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
    host.answering(0)
    host.install(asked=True)
    host.told()
    host.systemctl("active")

    ran, first = host.remove(), host.told()
    host.systemctl("inactive")
    again, second = host.remove(), host.told()

    assert [(item.returncode, item.stderr) for item in (ran, again)] == [(0, "")] * 2
    assert host.files() == set()
    assert not host.directory.exists()
    assert host.links.read_text() == "release\n"
    assert first == ["stop socket", "stop service", "daemon-reload"]
    assert second == ["daemon-reload"]


KEEPER = "say() { printf '%s\\n' \"$*\"; }\n"


@table(
    "state, code, address, wrong",
    active=("active", 0, "", 0),
    asked=("active", 0, "/run/asked.sock", 0),
    failed=("failed", 0, "", 2),
    silent=("active", 1, "/run/asked.sock", 1),
)
def test_the_keeper_notices_what_is_down_and_starts_it(
    host: Host, state: str, code: int, address: str, wrong: int
) -> None:
    stub(host.directory, "volumes", f"echo $1 >> {host.links}; exit 1")
    host.systemctl(state)
    host.answering(code)
    given = {"judge_name": NAME, "judge_else": "so much", "judge_address": address}
    given["judge_links"] = str(host.directory / "volumes")
    text = KEEPER + script("parts/judge/keep", judge_ask="ask.pl", **given)

    said = run(f"{text}judge_wrong", path=host.path).stdout.splitlines()
    restored = run(f"{text}judge_restore", path=host.path)

    assert len([line for line in said if line.endswith(", so so much")]) == wrong
    lasting = run(f"{text}judge_lasting", path=host.path).stdout
    assert lasting.startswith("nosymfollow of Docker's volumes cannot be changed") == bool(address)
    assert restored.returncode == 0
    assert host.told()[-1] == "restart socket service"


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
    drop_in = machine.units / "docker.service.d" / f"{NAME}.conf"
    drop_in.parent.mkdir()
    drop_in.touch()

    found = machine.node().part(JudgeState)

    assert without == JudgeState()
    assert (found.socket, found.service, found.enabled) == ("active", "failed", True)
    assert len(found.files) == 3
    assert (found.is_asked, found.answers) == (True, False)
    assert asked.read_text() == f"is-active {NAME}.socket {NAME}.service\n"
