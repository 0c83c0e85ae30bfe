"""The keeper's program with checks, paths and a systemctl of the test."""

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.node_files import RECORDS_DIR, NodeFile
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.keeper.files import policy_text, program_text
from pyinfra_gvisor.parts.keeper.isolation import FILE, Isolation, command_text, variables
from tests.table import table
from tests.unit.planning.test_preflight import settings_of
from tests.unit.shells import held, replaced, run, stub, toolbox

ADVICE = "run pyinfra-gvisor apply"


def long_ago(path: Path) -> None:
    """Let the file be older than a run may take."""
    old = time.time() - 3600
    os.utime(path, (old, old))


class Keeper:
    """A node with one thing to check: ``wrong`` says what is wrong, ``can`` be restored or not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = toolbox(root / "bin", "touch")
        self.wrong, self.run_dir = root / "wrong", root / "run"
        self.policy, self.metrics = root / "policy", root / "text" / "keeper.prom"
        self.file = NodeFile(str(root / "file"), "644", "declared\n")
        self.tells, self.daemon_json = root / "isolation.json", root / "daemon.json"
        self.metrics.parent.mkdir()
        self.have_file("declared\n")
        owner = f"{os.getuid()}:{os.getgid()}"
        stub(self.path, "stat", f'/usr/bin/stat "$@" | sed "s/:{owner} /:0:0 /"')

    def have_file(self, text: str) -> None:
        """The one file that is compared."""
        Path(self.file.path).write_text(text)
        Path(self.file.path).chmod(0o644)

    def check(self, *, restores: str = "", code: str = "0") -> tuple[int, list[str]]:
        """Run it once; return its exit code and the lines for the journal."""
        self.policy.write_text(policy_text({"thing": [self.file]}, str(self.metrics)))
        old = time.time() - 60
        os.utime(self.policy, (old, old))
        says = f"if [ -e {self.wrong} ]; then cat {self.wrong}; fi"
        checks = f"thing_wrong() {{ {says}; return {code}; }}\n"
        lasting = self.root / "lasting"
        checks += f"thing_lasting() {{ if [ -e {lasting} ]; then cat {lasting}; fi; }}\n"
        checks += f"thing_restore() {{ {restores}; }}\n" if restores else ""
        text = program_text(["thing"], (), variables(settings_of(gvisor_default="sandbox"), None))
        text = text.replace("/run/$keeper_unit", str(self.run_dir)).replace(FILE, str(self.tells))
        text = replaced(text, {RECORDS_DIR: self.root, "/etc/docker/daemon.json": self.daemon_json})
        text = text.replace("/opt/gvisor/keeper/policy", str(self.policy))
        begin, end = text.split("#!/bin/sh\n# Checks everything")
        ran = run(f"{begin}{checks}#{end}", path=self.path)
        assert ran.stderr == ""
        return ran.returncode, ran.stdout.splitlines()

    def told(self) -> Isolation:
        """What it tells everybody."""
        return Isolation.model_validate_json(self.tells.read_text())

    def in_force(self) -> str:
        """What the metrics say."""
        return " ".join(re.findall(r'in_force\{part="thing"\} (\d)', self.metrics.read_text()))


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    """A node on which everything is as declared."""
    return Keeper(tmp_path)


def test_what_is_in_force_is_told_in_the_metrics_only(keeper: Keeper) -> None:
    assert (keeper.check(), keeper.in_force()) == ((0, []), "1")
    assert "gvisor_keeper_last_run_timestamp_seconds" in keeper.metrics.read_text()
    assert keeper.metrics.stat().st_mode & 0o777 == 0o644


def test_what_is_restored_is_a_warning_and_the_metrics_show_it_once(keeper: Keeper) -> None:
    keeper.wrong.write_text("the table is gone\nthe unit is off\n")

    found = keeper.check(restores=f"rm {keeper.wrong}")
    during = keeper.in_force()
    after = keeper.check()

    warned = ["<4>thing: the table is gone; restored", "<4>thing: the unit is off; restored"]
    assert (found, during, keeper.in_force()) == ((0, warned), "0", "1")
    assert after == (0, [])


@table(
    "restores, lines",
    never=("", [f"<3>thing: one; {ADVICE}", "<3>thing: two; reboot"]),
    in_part=(
        "echo no table >&2; echo 'two; reboot' > %s",
        ["<4>thing: one; restored", "<3>thing: two; reboot", "<3>no table"],
    ),
)
def test_what_cannot_be_restored_is_an_error_and_the_unit_fails(
    keeper: Keeper, restores: str, lines: list[str]
) -> None:
    keeper.wrong.write_text("one\ntwo; reboot\n")

    found = keeper.check(restores=restores.replace("%s", str(keeper.wrong)))

    assert (found, keeper.in_force()) == ((1, lines), "0")


@table(
    "change, said",
    content=(lambda path: path.write_text("mine\n"), "the content of {} was changed"),
    mode=(lambda path: path.chmod(0o666), "{} is missing, or its mode"),
    missing=(Path.unlink, "{} is missing, or its mode"),
    link=(
        lambda path: (path.rename(f"{path}.old"), path.symlink_to(f"{path}.old")),
        "{} is missing, or its mode",
    ),
)
def test_with_undeclared_files_nothing_is_restored(keeper: Keeper, change: Any, said: str) -> None:
    keeper.wrong.write_text("the table is gone\n")
    change(Path(keeper.file.path))

    code, (line,) = keeper.check(restores=f"rm {keeper.wrong}")

    assert code == 1
    assert line.startswith(f"<3>thing: {said.format(keeper.file.path)}")
    assert keeper.wrong.exists()
    assert keeper.in_force() == "0"


def test_other_files_while_a_run_is_under_way_are_no_finding(keeper: Keeper) -> None:
    keeper.check()
    keeper.have_file("of the next keeper\n")

    (keeper.run_dir / "lock").touch()
    during = keeper.check()
    in_force = keeper.in_force()
    long_ago(keeper.run_dir / "lock")

    assert (during, in_force, keeper.check()[0]) == ((0, []), "", 1)


def test_a_step_of_a_run_is_not_disturbed(keeper: Keeper) -> None:
    keeper.check()
    keeper.wrong.write_text("stopped by a step\n")

    with held(keeper.run_dir / "lock"):
        (keeper.run_dir / "lock").touch()
        during = keeper.check(restores=f"rm {keeper.wrong}")
    after = keeper.check(restores=f"rm {keeper.wrong}")

    assert during == (0, [])
    assert after == (0, ["<4>thing: stopped by a step; restored"])


def test_a_step_that_hangs_is_an_error(keeper: Keeper) -> None:
    keeper.check()

    with held(keeper.run_dir / "lock"):
        long_ago(keeper.run_dir / "lock")
        code, (line,) = keeper.check()
    in_force = keeper.in_force()
    after = keeper.check()

    assert (code, in_force) == (1, "0")
    assert line.startswith("<3>thing: not checked: a step of a run holds ")
    assert (after, keeper.in_force()) == ((0, []), "1")


def test_a_check_that_can_never_be_made_is_an_error_after_a_while(keeper: Keeper) -> None:
    keeper.wrong.write_text("a change has not ended\n")

    first = keeper.check(code="$later")
    in_force = keeper.in_force()
    long_ago(keeper.run_dir / "later-thing")
    later = keeper.check(code="$later")
    later_in_force = keeper.in_force()
    keeper.wrong.unlink()
    ended = keeper.check()

    assert (first, in_force) == ((0, []), "")
    why = f"<3>thing: not checked for 15 min: a change has not ended; {ADVICE}"
    assert (later, later_in_force, ended) == ((1, [why]), "0", (0, []))
    assert not (keeper.run_dir / "later-thing").exists()


def test_a_check_that_fails_by_itself_is_an_error(keeper: Keeper) -> None:
    assert keeper.check(code="2") == (1, [f"<3>thing: the check ended with code 2; {ADVICE}"])
    assert keeper.in_force() == "0"


def test_what_only_a_reboot_ends_is_told_once_and_fails_nothing(keeper: Keeper) -> None:
    lasting = keeper.root / "lasting"
    lasting.write_text("a module is loaded; reboot this node\n")

    found = [keeper.check(), keeper.check()]
    in_force = keeper.in_force()
    lasting.unlink()
    after = keeper.check()

    assert found == [(0, ["<3>thing: a module is loaded; reboot this node"]), (0, [])]
    assert (in_force, after, keeper.in_force()) == ("0", (0, []), "1")


PROVEN = {
    "at": "2026-12-06T12:00:00+00:00",
    "failed": [],
    "kernel": os.uname().release,
    "docker": "29.1.0",
    "daemon_json": hashlib.sha256(b"{}\n").hexdigest(),
}


@table(
    "record, wrong, why",
    proven=(PROVEN, "", ()),
    never=(None, "", ("isolation was never proven",)),
    unreadable=("{", "", ("isolation was never proven",)),
    failed=({**PROVEN, "failed": ["dmesg"]}, "", ("the last proof failed",)),
    of_before=(
        {"at": PROVEN["at"], "failed": []},
        "",
        ("the last proof does not say of what; run pyinfra-gvisor apply --proof",),
    ),
    changed=(
        {**PROVEN, "kernel": "5.4.0", "docker": "20.10.0", "daemon_json": "0"},
        "gone",
        (
            "thing is not in force",
            "the kernel is another one than was proven",
            "dockerd is another one than was proven",
            "daemon.json is another one than was proven",
        ),
    ),
)
def test_the_node_tells_whether_its_isolation_holds_and_why_not(
    keeper: Keeper, record: object, wrong: str, why: tuple[str, ...]
) -> None:
    text = record if isinstance(record, str) else json.dumps(record)
    if record is not None:
        (keeper.root / "proof.json").write_text(text)
    keeper.daemon_json.write_text("{}\n")
    keeper.run_dir.mkdir()
    (keeper.run_dir / "docker").write_text("29.1.0\n")
    if wrong:
        keeper.wrong.write_text(wrong)

    keeper.check()
    shown = run(command_text().replace(FILE, str(keeper.tells)), path=keeper.path)

    told = keeper.told()
    assert (told.holds, told.why) == (not why, why)
    assert (told.default, told.door, told.builds) == ("sandbox", "refuse", False)
    assert told.runtimes["runsc"].sealed
    assert (shown.returncode, shown.stdout) == (int(bool(why)), keeper.tells.read_text())
    assert keeper.tells.stat().st_mode & 0o777 == 0o644


def test_what_a_silent_keeper_has_told_is_not_believed(keeper: Keeper) -> None:
    keeper.check()
    old = time.time() - 200
    os.utime(keeper.tells, (old, old))

    shown = run(command_text().replace(FILE, str(keeper.tells)), path=keeper.path)

    told = Isolation.model_validate_json(shown.stdout)
    assert (shown.returncode, told.holds) == (1, False)
    assert told.why == ("the keeper has not looked for 3 minutes",)


def checks(*names: str, **given: str) -> str:
    """The text of these checks, as the keeper has them."""
    known = {"keeper_unit": "x", "keeper_policy": "x", "changing_min": 15, **given}
    return script("parts/keeper/begin", *names, **known)


def test_sysctls_are_compared_and_restored_and_modules_only_told(tmp_path: Path) -> None:
    sysctls, modules = tmp_path / "sys", tmp_path / "modules"
    modules.write_text("sctp 16384 0 - Live 0x0\noverlay 4096 2 - Live 0x0\n")
    for path, value in {"net/a": "1", "net/b": "4\t5", "net/strict": "2", "net/good": "0"}.items():
        (sysctls / path).parent.mkdir(parents=True, exist_ok=True)
        (sysctls / path).write_text(f"{value}\n")
    declared = ("net/a\t0", "net/b\t4 6", "net/strict\t1\t2", "net/good\t0", "net/none\t1")
    given = {"kernel_sysctls": "\n".join(declared), "kernel_blocked": "dccp|sctp"}
    text = checks("parts/kernel/keep", **given)
    text = replaced(text, {"/proc/sys": sysctls, "/proc/modules": modules})
    path = toolbox(tmp_path / "bin")

    names = ("wrong", "restore", "wrong", "lasting")
    ran = [run(f"{text}kernel_{name}\n", path=path) for name in names]

    assert {(item.returncode, item.stderr) for item in ran} == {(0, "")}
    before, _, after, lasting = (item.stdout.splitlines() for item in ran)
    assert before == ["sysctl net/a is 1, declared 0", "sysctl net/b is 4 5, declared 4 6"]
    assert after == []
    assert lasting == ["module sctp is loaded, although it is blocked; reboot this node"]
    assert (sysctls / "net/strict").read_text() == "2\n"


class Runtimes:
    """A dockerd with a unit, and the checks of its runtimes."""

    declared = "runtime runsc /opt/gvisor/runtimes/runsc-1"

    def __init__(self, root: Path) -> None:
        self.path = toolbox(root / "bin")
        self.records, self.policy = root / "records", root / "policy"
        self.run_dir, self.asked = root / "run", root / "asked"
        self.told = self.declared
        self.records.mkdir()
        self.run_dir.mkdir()
        self.policy.touch()
        long_ago(self.policy)

    def check(self, unit_state: str, *, unit: str = "docker.service") -> tuple[int, list[str]]:
        """Check while the unit is so; return the exit code and what is wrong."""
        stub(self.path, "systemctl", f"printf '{unit_state}'")
        text = checks(
            "parts/keeper/runtimes",
            keeper_policy=str(self.policy),
            runtimes_declared=self.declared,
            runtimes_ask=f'open my $f, ">", "{self.asked}"; print "{self.told}\\n"',
            runtimes_records=str(self.records),
            runtimes_dockerd=unit,
        )
        text = text.replace("/run/$keeper_unit", str(self.run_dir))
        ran = run(f"{text}runtimes_wrong\n", path=self.path)
        assert ran.stderr == ""
        return ran.returncode, ran.stdout.splitlines()


@pytest.fixture
def runtimes(tmp_path: Path) -> Runtimes:
    """A dockerd that has its runtimes as declared."""
    return Runtimes(tmp_path)


LATER = 75
BUSY = "docker.service is being started or stopped; see systemctl status docker.service"
STOPPED = (
    "docker.service is not active, so dockerd was not asked for its runtimes;"
    " systemctl start docker.service"
)


@table(
    "unit_state, code, said",
    stopped=("ActiveState=inactive\nJob=\n", 0, [STOPPED]),
    failed=("ActiveState=failed\n", 0, [STOPPED]),
    queued_at_boot=("ActiveState=inactive\nJob=41\n", LATER, [BUSY]),
    stop_queued=("ActiveState=active\nJob=41\n", LATER, [BUSY]),
    stopping=("ActiveState=deactivating\nJob=\n", LATER, [BUSY]),
)
def test_a_dockerd_that_does_not_run_is_not_asked_or_its_socket_would_start_it(
    runtimes: Runtimes, unit_state: str, code: int, said: list[str]
) -> None:
    assert runtimes.check(unit_state) == (code, said)
    assert not runtimes.asked.exists()


@table(
    "unit, unit_state",
    unit=("docker.service", "ActiveState=active\nJob=\n"),
    not_started_by_systemd=("", "ActiveState=inactive\n"),
)
def test_a_running_dockerd_is_asked(runtimes: Runtimes, unit: str, unit_state: str) -> None:
    runtimes.told = "runtime runsc /usr/bin/runsc"

    found = runtimes.check(unit_state, unit=unit)

    assert found == (0, [f"dockerd does not have this as declared: {runtimes.declared}"])


def test_while_daemon_json_changes_or_a_run_is_on_runtimes_are_unknown(runtimes: Runtimes) -> None:
    runtimes.told = "runtime runsc /usr/bin/runsc"
    active = "ActiveState=active\nJob=\n"

    (runtimes.records / "last-run.json").touch()
    in_a_run = runtimes.check(active)
    (runtimes.records / "pending").mkdir()
    pending = runtimes.check(active)

    assert in_a_run == (LATER, [f"dockerd does not have this as declared: {runtimes.declared}"])
    assert pending == (LATER, ["a change of daemon.json has not ended"])


def test_a_release_that_a_run_has_just_removed_is_no_error(tmp_path: Path) -> None:
    policy, run_dir = tmp_path / "policy", tmp_path / "run"
    policy.touch()
    long_ago(policy)
    run_dir.mkdir()
    gone = {"keeper_policy": str(policy), "release_home": str(tmp_path / "gone")}
    text = checks("releases/manifest", "parts/keeper/release", **gone)
    text = text.replace("/run/$keeper_unit", str(run_dir))

    later = run(f"{text}release_wrong\n").returncode
    (run_dir / "lock").touch()

    assert (later, run(f"{text}release_wrong\n").returncode) == (0, LATER)
