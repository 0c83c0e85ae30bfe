"""Where runc is on a node, what is to be done about it, and the scripts that move it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.node import Node, parse_node
from pyinfra_gvisor.parts.divert.files import PROGRAM, VARIABLES, divert_files, repair_text
from pyinfra_gvisor.parts.divert.plan import Wanted, check_divert, declared_divert, plan_divert
from pyinfra_gvisor.parts.divert.state import DivertState
from tests.table import table
from tests.unit.answers import answer
from tests.unit.planning.test_preflight import settings_of
from tests.unit.shells import held, run, toolbox

RUNC, ASIDE = "/usr/sbin/runc", "/usr/sbin/runc.pyinfra-gvisor"
WANTED = Wanted("/opt/gvisor/runtimes/gvisordefault-20260928.0-01234567", "docker.service")
FILES = divert_files([RUNC], WANTED.dispatcher, retired=False, dockerd=WANTED.dockerd)
BEFORE = (f"divert place {RUNC}", f"divert is 755:0:0 10724248 {RUNC}")
LOCAL = "/usr/local/sbin/runc"
A_SCRIPT = (BEFORE[0], f"divert is 755:0:0 120 {RUNC}", f"divert small 00  {RUNC}")
DIVERTED = f"divert diverted {RUNC} {RUNC}.distrib some-package"
OWN = tuple(
    line
    for item in FILES
    for line in (
        f"divert sum {item.sha256} {item.path}",
        f"divert stat {item.mode}:0:0 {item.path}",
    )
)
SUM = next(item.sha256 for item in FILES if item.path == PROGRAM)
TAKEN = (
    *(f"divert place {RUNC}", f"divert is 755:0:0 2600 {RUNC}"),
    *(f"divert is 755:0:0 10724248 {ASIDE}", f"divert small {SUM}  {RUNC}"),
    *(f"divert diverted {RUNC} {ASIDE} :", f"divert places {RUNC}", f"divert owned {RUNC}"),
    *OWN,
    "divert enabled yes",
    f"divert dispatcher {WANTED.dispatcher}",
)
ELF = "\x7fELF runc"


def told(*lines: str, **others: Any) -> Node:
    """A node that tells this of runc."""
    return parse_node([*lines, *answer(**others)])


def without(text: str, lines: Sequence[str] = TAKEN) -> list[str]:
    """The lines without those that contain this."""
    return [line for line in lines if text not in line]


def changed(is_: str, other: str) -> list[str]:
    """The lines with what one file is changed."""
    assert f"divert is {is_}" in TAKEN
    return [f"divert is {other}" if item == f"divert is {is_}" else item for item in TAKEN]


def test_it_is_declared_by_its_word_alone() -> None:
    found = told(*BEFORE)

    declared = [
        declared_divert(settings_of(gvisor_default=word), found)
        for word in ("off", "sandbox", "sandbox-all")
    ]

    assert declared[:2] == [None, None]
    assert declared[2] is not None
    assert declared[2].dispatcher.startswith("/opt/gvisor/runtimes/gvisordefault-")


def test_a_new_node_gets_every_file_and_the_program() -> None:
    plan = plan_divert(told(*BEFORE), WANTED)

    assert (plan.action, plan.files) == ("apply", FILES)
    assert f"replace {RUNC} with our program" in plan.lines


def test_a_node_without_docker_is_planned_when_docker_is_there() -> None:
    plan = plan_divert(told(without=("info", "dockerd", "docker_client")), WANTED)

    assert (plan.action, plan.files) == ("apply", ())
    assert plan.lines == ("replace runc with our program when Docker is installed",)


def test_what_is_as_declared_stays_and_takes_runc() -> None:
    found = told(*TAKEN)

    assert plan_divert(found, WANTED).action == "nothing"
    assert found.part(DivertState).takes_runc
    assert found.part(DivertState).there


@table(
    "lines, takes_runc",
    another_file=(without("divert small"), False),
    missing=(without(f"2600 {RUNC}"), False),
    not_executable=(changed(f"755:0:0 2600 {RUNC}", f"644:0:0 2600 {RUNC}"), False),
    no_runc=(without(f"10724248 {ASIDE}"), False),
    runc_of_a_user=(changed(f"755:0:0 10724248 {ASIDE}", f"755:1000:0 9 {ASIDE}"), False),
    one_more_runc=(
        *([*TAKEN, f"divert place {LOCAL}", f"divert is 755:0:0 10724248 {LOCAL}"], False),
    ),
    no_diversion=(without("divert diverted"), True),
    no_unit=(without("divert enabled"), True),
    no_repair=(without("/repair"), True),
)
def test_what_is_not_as_declared_is_put_right(lines: Sequence[str], takes_runc: bool) -> None:
    found = told(*lines)

    assert plan_divert(found, WANTED).action == "apply"
    assert found.part(DivertState).takes_runc is takes_runc


@table(
    "lines, others, why",
    no_systemd=(BEFORE, {"init": "lab-init"}, "needs systemd on the node"),
    no_runc=((), {}, "runc is not on the PATH of dockerd"),
    env=((*BEFORE, "divert command /opt/runc"), {}, "names another program for builds"),
    a_script=(A_SCRIPT, {}, "is not runc itself"),
    diverted=((*BEFORE, DIVERTED), {}, "has another dpkg diversion"),
)
def test_what_cannot_be_is_refused(lines: Sequence[str], others: dict[str, Any], why: str) -> None:
    with pytest.raises(Problem, match=why):
        check_divert(told(*lines, **others))


def test_what_is_not_declared_goes_and_what_a_killed_removal_left_too() -> None:
    left = (f"divert place {RUNC}", *(f"divert is 755:0:0 9 {path}" for path in (RUNC, ASIDE)))

    for lines in (TAKEN, left):
        plan = plan_divert(told(*lines), None)
        assert (plan.action, plan.settings) == ("remove", {"places": RUNC})
    assert plan_divert(told(*BEFORE), None).action == "nothing"


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
        given = {"unit": "no-unit.service", "places": str(self.runc), "builds": "/no"}
        given |= {**VARIABLES, "links": "/no", "dispatcher": str(self.dispatcher)}
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
    assert (places.run("repair"), places.runc.read_text()) == ((0, ""), places.program.read_text())
    assert Path(f"{places.runc}{VARIABLES['aside']}").read_text() == ELF
