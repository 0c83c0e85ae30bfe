"""The scripts that move runc, with paths of the test."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.divert.files import VARIABLES, repair_text
from tests.unit.shells import held, run, toolbox

ELF = "\x7fELF runc"


class Places:
    """A node with one runc, and a program for its place."""

    def __init__(self, root: Path) -> None:
        self.directory, self.run_dir, self.runc = root / "divert", root / "run", root / "runc"
        self.dispatcher = root / "dispatcher"
        self.path = toolbox(root / "bin", "cmp", "ln", "umount", "rmdir")
        for directory in (self.directory, self.run_dir):
            directory.mkdir()
        self.runc.write_text(ELF)
        self.program = self.directory / "program"
        self.program.write_text("#!/bin/sh\n")
        (self.directory / "places").write_text(f"{self.runc}\n")
        self.dispatcher.touch(mode=0o755)

    def run(self, name: str) -> tuple[int, str]:
        """Run a script; return its exit code and what it says."""
        given = {"unit": "no-unit.service", "places": str(self.runc), "builds": "/nonexistent"}
        given |= {**VARIABLES, "dispatcher": str(self.dispatcher)}
        names = ("base/put_files", "parts/divert/places", f"parts/divert/{name}")
        text = script(*names, operation="divert.runc", host="run-1", **given)
        if name == "repair":
            text = repair_text(hashlib.sha256(self.program.read_bytes()).hexdigest())
        for was, now in (
            ("/opt/gvisor/divert", self.directory),
            ("/run/pyinfra-gvisor", self.run_dir),
            ("/run/docker", self.run_dir / "docker"),
            ("/run/containerd", self.run_dir / "containerd"),
            ("/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin", "/nonexistent"),
            ("-w 50", "-n"),
        ):
            text = text.replace(was, str(now))
        ran = run(text, path=self.path)
        return ran.returncode, ran.stderr


@pytest.mark.parametrize("name", ["repair", "apply", "remove"])
def test_while_another_one_moves_runc_a_script_changes_nothing(tmp_path: Path, name: str) -> None:
    places = Places(tmp_path)

    with held(places.run_dir / "divert.lock"):
        code, said = places.run(name)

    assert (code, places.runc.read_text()) == (1, ELF)
    assert "the place of runc has been locked" in said
    assert {item.name for item in places.directory.iterdir()} == {"program", "places"}


def test_the_repair_gives_our_program_the_place_of_runc(tmp_path: Path) -> None:
    places = Places(tmp_path)

    found = places.run("repair")

    assert found == (0, "")
    assert places.runc.read_text() == places.program.read_text()
    assert Path(f"{places.runc}{VARIABLES['aside']}").read_text() == ELF
