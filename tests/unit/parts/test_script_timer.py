"""``timer_install.sh`` and ``timer_remove.sh`` with paths of a test and a systemctl that tells."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import packed, script
from pyinfra_gvisor.parts.watch.files import DIRECTORY, METRICS, NAME
from pyinfra_gvisor.parts_common.timed import timer_variables
from tests.table import table
from tests.unit.shells import replaced, run, systemctl, toolbox

UNIT = "pyinfra-gvisor-watch"
CONTENT = "$(touch /nonexistent/x) 'quoted' \u00fc\n"

HOST = {"operation": "watch.watch", "host": "run-1", **timer_variables(DIRECTORY, NAME, METRICS)}


class Host:
    """A node's directories, and what its systemctl was asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.watch = root / "gvisor" / "watch"
        self.units = root / "units"
        self.asked = root / "asked"
        self.texts = root / "texts"
        self.path = toolbox(root / "bin", "rmdir", "perl")
        for directory in (self.units, self.texts):
            directory.mkdir()
        systemctl(self.path, self.asked, "inactive")

    @property
    def wanted(self) -> dict[str, str]:
        """The files of a watch and their modes."""
        unit = self.units / UNIT
        return {
            f"{self.watch}/watch.pl": "755",
            f"{self.watch}/policy": "644",
            f"{unit}.service": "644",
            f"{unit}.timer": "644",
        }

    def install(self, textfile: str = "") -> subprocess.CompletedProcess[str]:
        """Put a watch there."""
        words = [
            word for path, mode in self.wanted.items() for word in (path, mode, packed(CONTENT))
        ]
        return self._run("install", *words, textfile=textfile)

    def remove(self) -> subprocess.CompletedProcess[str]:
        """Take it off."""
        return self._run("remove")

    def told(self) -> list[str]:
        """What systemctl was asked to do; questions are left out."""
        lines = self.asked.read_text().splitlines() if self.asked.exists() else []
        return [line for line in lines if not line.startswith("is-")]

    def files(self) -> Mapping[str, str]:
        """Every file there, with its mode."""
        return {
            str(path): f"{path.stat().st_mode & 0o777:o}"
            for top in (self.watch.parent, self.units, self.texts)
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }

    def _run(self, step: str, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
        names = ("base/put_files", "parts_common/timer_stop", f"parts_common/timer_{step}")
        changes = {"/opt/gvisor/watch": self.watch, "/etc/systemd/system": self.units}
        text = replaced(script(*names, **HOST, **given), changes)
        return run(text, *words, path=self.path)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without a watch."""
    return Host(tmp_path)


@table(
    "state, stops",
    stopped=("inactive", []),
    runs=("active", [f"stop {UNIT}.timer", f"stop {UNIT}.service"]),
)
def test_every_file_is_there_as_it_was_sent_and_what_runs_is_stopped_before(
    host: Host, state: str, stops: list[str]
) -> None:
    systemctl(host.path, host.asked, state)

    ran = host.install()

    assert (ran.returncode, ran.stderr, host.files()) == (0, "", host.wanted)
    assert {Path(path).read_text() for path in host.wanted} == {CONTENT}
    assert host.told() == [*stops, "daemon-reload", f"enable --quiet --now {UNIT}.timer"]


def test_without_perl_or_the_directory_for_metrics_nothing_is_changed(host: Host) -> None:
    ran = host.install(f"{host.root}/none/pyinfra_gvisor_watch.prom")
    (host.path / "perl").unlink()
    without_perl = host.install()

    assert (ran.returncode, without_perl.returncode) == (1, 1)
    assert without_perl.stderr == "watch.watch: perl on run-1: not installed; install perl-base\n"
    assert f"watch.watch: {host.root}/none on run-1: this directory does not exist" in ran.stderr
    assert (host.files(), host.told()) == ({}, [])


def test_a_file_that_cannot_be_written_leaves_the_timer_off(host: Host) -> None:
    host.watch.parent.mkdir()
    host.watch.write_text("in the way")

    assert host.install().returncode != 0
    assert not [line for line in host.told() if line.startswith("enable")]


def test_metrics_that_nobody_would_renew_go_and_others_stay(host: Host) -> None:
    old, other = (host.texts / name for name in ("pyinfra_gvisor_watch.prom", "other.prom"))
    host.install()
    (host.watch / "policy").write_text(f"action report\ntextfile {old}\nmust\n")
    for path in (old, other, Path(f"{old}.new")):
        path.write_text("")

    kept = host.install(str(old))
    there = host.files()
    (host.watch / "policy").write_text(f"textfile {old}\n")
    assert (kept.returncode, host.install().returncode) == (0, 0)
    assert str(old) in there
    assert [path.name for path in host.texts.iterdir()] == ["other.prom"]


@table("textfile", another="other.prom", none_named="")
def test_a_removal_leaves_what_is_of_others_whatever_the_policy_names(
    host: Host, textfile: str
) -> None:
    other, release = host.texts / "other.prom", host.watch.parent / "releases"
    other.write_text("")
    host.install()
    release.mkdir()
    (host.watch / "policy").write_text(f"textfile {host.texts / textfile}\n")

    assert host.remove().returncode == 0
    assert (other.exists(), release.exists(), host.watch.exists()) == (True, True, False)


def test_a_removal_leaves_nothing_and_a_second_one_ends_well_too(host: Host) -> None:
    textfile = host.texts / "pyinfra_gvisor_watch.prom"
    host.install(str(textfile))
    (host.watch / "policy").write_text(f"textfile {textfile}\n")
    textfile.write_text("")
    (host.units / f"{UNIT}.timer.new").write_text("of a run that was killed")
    wants = host.units / "timers.target.wants"
    wants.mkdir()
    (wants / f"{UNIT}.timer").symlink_to(f"../{UNIT}.timer")
    host.asked.unlink()
    systemctl(host.path, host.asked, "failed")

    ran, again = host.remove(), host.remove()

    assert (ran.returncode, ran.stderr, again.returncode) == (0, "", 0)
    assert host.files() == {}
    assert not host.watch.parent.exists()
    assert {
        f"disable --quiet {UNIT}.timer",
        f"reset-failed {UNIT}.service",
        "daemon-reload",
    } <= set(host.told())
