"""The program that has the place of runc: which call goes to whom."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyinfra_gvisor.dispatch.programs import ASIDE, runc_text
from tests.table import table

BUILD = ("--log", "/var/lib/docker/buildkit/executor/runc-log.json", "--log-format", "json")
MOBY = ("--root", "/var/run/docker/runtime-runc/moby", "--log", "/dev/null")
TELL = '#!/bin/sh\necho "{} $*"\n'


def write_program(path: Path, text: str) -> None:
    """Have an executable script."""
    path.write_text(text)
    path.chmod(0o755)


@dataclass(frozen=True)
class Place:
    """A place of runc with our program, and who is asked by it."""

    root: Path

    @property
    def program(self) -> Path:
        return self.root / "runc"

    @property
    def dispatcher(self) -> Path:
        return self.root / "gvisordefault"

    def install(self, *, retired: bool = False) -> None:
        """Have the program, runc beside it, and a dispatcher, which both tell that they ran."""
        (self.root / "places").write_text(f"{self.root}/gone\n{self.program}\n")
        text = runc_text(str(self.root / "places"), str(self.dispatcher), retired=retired)
        write_program(self.program, text)
        write_program(Path(f"{self.program}{ASIDE}"), TELL.format("runc"))
        write_program(self.dispatcher, TELL.format("dispatcher"))

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *words], capture_output=True, text=True, check=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with everything there."""
    found = Place(tmp_path)
    found.install()
    return found


@table(
    "words, who",
    {
        "version": (("--version",), "runc"),
        "features": (("features",), "runc"),
        "create": ((*MOBY, "create", "--bundle", "b", "id"), "dispatcher"),
        "delete": ((*MOBY, "delete", "--force", "id"), "dispatcher"),
        "=": (("--root=/run/docker/runtime-runc/moby", "start", "id"), "dispatcher"),
        "shim": (("--root", "/run/containerd/runc/moby", "kill", "id"), "dispatcher"),
        "plugin": (("--root", "/run/docker/runtime-runc/plugins.moby", "create", "id"), "runc"),
        "k8s": (("--root", "/run/containerd/runc/k8s.io", "create", "id"), "runc"),
        "by-hand": (("run", "id"), "runc"),
        "build": ((*BUILD, "run", "--bundle", "b", "--keep", "id"), "dispatcher"),
        "build-cancelled": ((*BUILD, "kill", "id", "9"), "dispatcher"),
    },
)
def test_calls_about_docker_go_to_the_dispatcher_and_others_to_runc(
    place: Place, words: Sequence[str], who: str
) -> None:
    assert place.call(*words).stdout == f"{who} {' '.join(words)}\n"


@table(
    "words, who",
    create=((*MOBY, "create", "id"), "runc"),
    build=((*BUILD, "run", "id"), "runc"),
    kill=((*MOBY, "kill", "id"), "dispatcher"),
    build_ended=((*BUILD, "delete", "id"), "dispatcher"),
)
def test_a_retired_one_puts_nothing_new_into_a_sandbox(
    place: Place, words: Sequence[str], who: str
) -> None:
    place.install(retired=True)

    assert place.call(*words).stdout == f"{who} {' '.join(words)}\n"


def test_without_the_dispatcher_no_container_starts_and_docker_shows_why(
    place: Place, tmp_path: Path
) -> None:
    place.dispatcher.unlink()
    log = tmp_path / "log.json"

    ran = place.call("--root", "/x/moby", "--log", str(log), "create", "id")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "is missing, so no container starts" in json.loads(log.read_text())["msg"]
    assert place.call("--version").stdout == "runc --version\n"


@pytest.mark.parametrize("how", ["gone", "not-executable"])
def test_without_runc_every_call_is_refused(place: Place, how: str) -> None:
    aside = Path(f"{place.program}{ASIDE}")
    if how == "gone":
        aside.unlink()
    else:
        aside.chmod(0o644)

    ran = place.call("--version")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "runc is missing: no path in" in ran.stderr


def test_a_place_that_is_not_mounted_is_told_from_a_runc_that_is_missing(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "places").unlink()

    ran = place.call("--version")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "places cannot be read, so runc was not found" in ran.stderr


def test_the_dispatcher_is_told_where_runc_is(place: Place) -> None:
    write_program(place.dispatcher, '#!/bin/sh\necho "$pyinfra_gvisor_runc"\n')

    assert place.call(*MOBY, "start", "id").stdout == f"{place.program}{ASIDE}\n"
