"""What is kept while daemon.json is being changed, and that nothing of it is left afterwards."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from tests.unit.journal_script import RECORDS, Journal

UNIT = "docker.service"
WANTS = f"{UNIT}.wants/pyinfra-gvisor-recovery.service"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
UNITS = [pytest.param(UNIT, id="systemd"), pytest.param("", id="no-unit")]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A node that has a daemon.json, and is about to get a new one."""
    made = Journal(tmp_path)
    made.file.write_text("old")
    return made


def staged(journal: Journal) -> dict[str, str]:
    """The staged files by name."""
    return {item.name: item.read_text() for item in journal.staged.iterdir()}


def test_reading_the_journal_prints_nothing_and_changes_nothing(journal: Journal) -> None:
    said = journal.good(":")

    assert said == ""
    assert journal.left() == []


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, id=n) for n in ("file", "state_dir", "keep", "unit", "after_b64", "firewall")],
)
def test_it_says_which_variable_it_misses(journal: Journal, name: str) -> None:
    ran = journal.run("say done", without=name)

    assert ran.stdout == ""
    assert f"{name}: parameter" in ran.stderr


def test_everything_is_written_down_before_the_first_change(journal: Journal) -> None:
    journal.files |= {"on": "on", "old_off": "off"}

    journal.good("write_down")

    assert staged(journal) == {"after": "new", "on": "on", "old_off": "off", "old": "old"}
    work = journal.state_dir / ".pending"
    assert {item.name for item in work.iterdir()} == {"transaction.sh", "journal", "hide", *RECORDS}
    assert (work / "transaction.sh").read_text() == journal.text.read_text()
    assert journal.file.read_text() == "old"


def test_what_a_killed_run_had_written_down_is_no_part_of_the_next(journal: Journal) -> None:
    journal.files["neutral"] = "neutral"
    journal.good("write_down; say x > $work/leftover")
    journal.files["neutral"] = None

    journal.good("write_down")

    assert set(staged(journal)) == {"after", "old"}
    assert not (journal.state_dir / ".pending" / "leftover").exists()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("before", [pytest.param("old", id="file"), pytest.param(None, id="none")])
def test_a_change_that_has_ended_leaves_nothing_behind(
    tmp_path: Path, unit: str, before: str | None
) -> None:
    journal = Journal(tmp_path, unit=unit)
    if before is not None:
        journal.file.write_text(before)

    journal.good("write_down; begin; step 'write'; put after; forget")

    assert journal.left() == []
    assert journal.file.read_text() == "new"


@pytest.mark.parametrize("until", [pytest.param("write_down", id="down"), pytest.param(":", id="")])
def test_a_change_that_never_began_leaves_nothing_behind(journal: Journal, until: str) -> None:
    journal.good(f"{until}; forget")

    assert journal.left() == []
    assert journal.file.read_text() == "old"


def test_a_change_that_has_begun_can_be_found_by_whoever_comes_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path, unit=UNIT)

    journal.good("write_down; begin; say $work")

    recovery = journal.units / "pyinfra-gvisor-recovery.service"
    assert (journal.pending / "transaction.sh").exists()
    assert (journal.units / WANTS).resolve() == recovery
    text = recovery.read_text()
    assert f"ExecStart=/bin/sh {journal.pending}/transaction.sh boot\n" in text
    assert f"Before={UNIT}\n" in text


def test_a_reboot_runs_only_a_script_that_the_change_left(tmp_path: Path) -> None:
    journal = Journal(tmp_path, unit=UNIT)
    journal.state_dir.chmod(0o700)
    journal.good("write_down; begin")
    text = (journal.units / "pyinfra-gvisor-recovery.service").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStartPre="))
    check = shlex.split(line.partition("=")[2].replace("-user 0", f"-user {os.getuid()}"))

    first = subprocess.run(check, check=False)
    (journal.pending / "transaction.sh").write_text("echo another")
    second = subprocess.run(check, check=False)

    assert (first.returncode, second.returncode) == (0, 1)


def test_what_others_want_of_the_unit_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path, unit=UNIT)
    other = journal.units / f"{UNIT}.wants" / "other.service"
    other.parent.mkdir()
    other.touch()

    journal.good("write_down; begin; forget")

    assert list(other.parent.iterdir()) == [other]


@pytest.mark.parametrize(
    ("program", "body"),
    [
        pytest.param("cp", "write_down", id="cannot-copy"),
        pytest.param("base64", "write_down", id="cannot-write"),
        pytest.param("chown", "write_down", id="cannot-give-away"),
        pytest.param("mv", "write_down; begin", id="cannot-move"),
        pytest.param("mv", "write_down; keep_generation", id="cannot-keep"),
        pytest.param("perl", "write_down; put after", id="cannot-put"),
        pytest.param("mv", "say x | write_state owned.json", id="cannot-record"),
        pytest.param("sync", "say x | write_state owned.json", id="cannot-sync"),
    ],
)
def test_a_disk_that_is_full_is_no_success(journal: Journal, program: str, body: str) -> None:
    journal.breaks(program)

    ran = journal.run(f"{{ {body}; }} && say done")

    assert "done" not in ran.stdout
    assert journal.file.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "expected"),
    [pytest.param("after", "new", id="file"), pytest.param("neutral", None, id="no-file")],
)
def test_what_is_staged_becomes_the_file_and_what_is_not_is_none(
    journal: Journal, name: str, expected: str | None
) -> None:
    journal.good(f"write_down; put {name}")

    assert (journal.file.read_text() if journal.file.exists() else None) == expected


def test_a_file_goes_away_where_no_other_text_is_needed_on_the_way(journal: Journal) -> None:
    journal.files["after"] = None

    journal.good("write_down; put after")

    assert not journal.file.exists()


def test_the_same_file_can_be_put_again_and_stays_staged(journal: Journal) -> None:
    journal.good("write_down; put after; put after; put old; put after")

    assert journal.file.read_text() == "new"
    assert staged(journal) == {"after": "new", "old": "old"}


def test_where_there_is_no_hard_link_a_copy_is_put(journal: Journal) -> None:
    journal.breaks("ln")

    journal.good("write_down; put after")

    assert journal.file.read_text() == "new"
    assert staged(journal) == {"after": "new", "old": "old"}


def test_a_file_that_is_gone_already_can_be_removed_again(journal: Journal) -> None:
    journal.good("write_down; put neutral; put neutral")

    assert not journal.file.exists()


@pytest.mark.parametrize(
    "mode", [pytest.param(0o600, id="secret"), pytest.param(0o664, id="shared")]
)
def test_mode_and_owner_of_the_file_stay(journal: Journal, mode: int) -> None:
    journal.file.chmod(mode)

    journal.good("write_down; put after")

    assert journal.file.stat().st_mode & 0o7777 == mode


@ROOT_ONLY
def test_the_owner_of_the_file_stays(journal: Journal) -> None:
    os.chown(journal.file, 12, 34)

    journal.good("write_down; put after")

    found = journal.file.stat()
    assert (found.st_uid, found.st_gid) == (12, 34)


def test_a_new_file_can_be_read_by_everybody(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    journal.good("umask 077; write_down; put after")

    assert journal.file.stat().st_mode & 0o7777 == 0o644


def test_what_is_staged_can_be_read_by_root_alone(journal: Journal) -> None:
    journal.good("write_down")

    assert journal.staged.stat().st_mode & 0o7777 == 0o700


def test_a_link_stays_a_link_and_its_target_changes(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_text("old")
    journal.file.unlink()
    journal.file.symlink_to(target)

    journal.good("write_down; put after; forget")

    assert journal.file.is_symlink()
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_how_a_run_ended_is_one_line_of_json_whatever_the_reason(journal: Journal) -> None:
    reason = 'a "b" \\c \t\n$(id)'

    journal.good(f"record_run reverted '{reason}'")

    text = (journal.state_dir / "last-run.json").read_text()
    record = json.loads(text)
    assert text.count("\n") == 1
    assert text.startswith('{"id":"a1"')
    assert (record["result"], record["action"]) == ("reverted", "reload")
    assert record["reason"] == "a b c   $(id)"


def test_the_script_is_the_one_that_a_transaction_is_made_of() -> None:
    assert script("daemon_json/journal") in script(
        "daemon_json/journal", "daemon_json/dockerd", "daemon_json/apply"
    )


def test_the_file_in_its_place_is_not_changed_again_when_the_others_go(journal: Journal) -> None:
    journal.good("write_down; begin; put after")
    placed = journal.file.stat()

    journal.good("work=$pending; forget")

    assert placed.st_nlink == 1
    assert journal.file.stat().st_ctime_ns == placed.st_ctime_ns


def test_a_full_disk_has_room_for_a_second_name(journal: Journal) -> None:
    journal.good("write_down; begin; trap '' XFSZ; ulimit -f 0; put after")

    assert journal.file.read_text() == "new"


def test_what_is_to_be_known_of_a_change_that_ended_well_is_in_its_record(
    journal: Journal,
) -> None:
    notes = "{ note 'not \"tried\"'; note 'nor this'; } 2> /dev/null"

    journal.good(f"write_down; begin; {notes}; record_run applied ''")

    record = json.loads((journal.state_dir / "last-run.json").read_text())
    assert (record["result"], record["notes"]) == ("applied", "not tried; nor this")


def test_no_argument_of_a_program_has_what_is_masked(journal: Journal) -> None:
    journal.variables = {**journal.variables, "hide": "s/hunter2/***/g"}
    spy = 'sed() { case "$*" in *hunter2*) say told ;; esac; command sed "$@"; }'

    said = journal.good(f"{spy}; write_down; say 'refused hunter2' | masked")

    assert said == "refused ***\n"
