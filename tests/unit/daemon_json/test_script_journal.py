"""What is kept while daemon.json is being changed, and that nothing of it is left afterwards."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.table import table
from tests.unit.daemon_json.journal_script import RECORDS, Journal

UNIT = "docker.service"
WANTS = f"{UNIT}.wants/pyinfra-gvisor-recovery.service"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A node that has a daemon.json, and is about to get a new one."""
    made = Journal(tmp_path)
    made.file.write_text("old")
    return made


def staged(journal: Journal) -> dict[str, str]:
    """The staged files by name."""
    return {item.name: item.read_text() for item in journal.staged.iterdir()}


@pytest.mark.parametrize("name", ["file", "state_dir", "keep", "unit", "after_b64", "firewall"])
def test_it_says_which_variable_it_misses(journal: Journal, name: str) -> None:
    ran = journal.run("say done", without=name)

    assert ran.stdout == ""
    assert f"{name}: parameter" in ran.stderr


def test_everything_is_written_down_for_root_before_the_first_change(journal: Journal) -> None:
    journal.files |= {"on": "on", "old_off": "off"}

    assert journal.good("write_down") == ""
    assert staged(journal) == {"after": "new", "on": "on", "old_off": "off", "old": "old"}
    assert journal.staged.stat().st_mode & 0o7777 == 0o700
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


@table("unit", systemd=UNIT, no_unit="")
@table("before", file="old", none=None)
@table("body", ended="write_down; begin; step 'write'; put after", down="write_down", never=":")
def test_a_change_that_has_ended_or_never_began_leaves_nothing_behind(
    tmp_path: Path, unit: str, before: str | None, body: str
) -> None:
    journal = Journal(tmp_path, unit=unit)
    if before is not None:
        journal.file.write_text(before)

    journal.good(f"{body}; forget")

    assert journal.left() == []
    there = journal.file.read_text() if journal.file.exists() else None
    assert there == ("new" if "put after" in body else before)


def test_a_change_that_has_begun_is_found_and_a_reboot_runs_only_the_script_that_it_left(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, unit=UNIT)
    journal.state_dir.chmod(0o700)

    journal.good("write_down; begin; say $work")

    recovery = journal.units / "pyinfra-gvisor-recovery.service"
    assert (journal.pending / "transaction.sh").exists()
    assert (journal.units / WANTS).resolve() == recovery
    text = recovery.read_text()
    assert f"ExecStart=/bin/sh {journal.pending}/transaction.sh boot\n" in text
    assert f"Before={UNIT}\n" in text
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStartPre="))
    check = shlex.split(line.partition("=")[2].replace("-user 0", f"-user {os.getuid()}"))
    first = subprocess.run(check, check=False)
    (journal.pending / "transaction.sh").write_text("echo another")
    assert (first.returncode, subprocess.run(check, check=False).returncode) == (0, 1)


def test_what_others_want_of_the_unit_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path, unit=UNIT)
    other = journal.units / f"{UNIT}.wants" / "other.service"
    other.parent.mkdir()
    other.touch()

    journal.good("write_down; begin; forget")

    assert list(other.parent.iterdir()) == [other]


@table(
    "program, body",
    cannot_copy=("cp", "write_down"),
    cannot_write=("base64", "write_down"),
    cannot_give_away=("chown", "write_down"),
    cannot_move=("mv", "write_down; begin"),
    cannot_keep=("mv", "write_down; keep_generation"),
    cannot_put=("perl", "write_down; put after"),
    cannot_record=("mv", "say x | write_state owned.json"),
    cannot_sync=("sync", "say x | write_state owned.json"),
)
def test_a_disk_that_is_full_is_no_success(journal: Journal, program: str, body: str) -> None:
    journal.breaks(program)

    assert "done" not in journal.run(f"{{ {body}; }} && say done").stdout
    assert journal.file.read_text() == "old"


@table(
    "body, after, expected",
    file=("put after", "new", "new"),
    no_file=("put neutral", "new", None),
    no_file_again=("put neutral; put neutral", "new", None),
    no_file_without_another_on_the_way=("put after", None, None),
    again=("put after; put after; put old; put after", "new", "new"),
    full_disk=("begin; trap '' XFSZ; ulimit -f 0; put after", "new", "new"),
)
def test_what_is_staged_becomes_the_file_and_stays_and_what_is_not_is_none(
    journal: Journal, body: str, after: str | None, expected: str | None
) -> None:
    journal.files["after"] = after

    journal.good(f"write_down; {body}")

    assert (journal.file.read_text() if journal.file.exists() else None) == expected
    assert staged(journal) == ({"old": "old"} if after is None else {"after": after, "old": "old"})


@table("mode", secret=0o600, shared=0o664)
def test_mode_and_owner_of_the_file_stay(journal: Journal, mode: int) -> None:
    journal.file.chmod(mode)
    if os.geteuid() == 0:  # only root may give a file away
        os.chown(journal.file, 12, 34)
    before = journal.file.stat()

    journal.good("write_down; put after")

    found = journal.file.stat()
    assert found.st_mode & 0o7777 == mode
    assert (found.st_uid, found.st_gid) == (before.st_uid, before.st_gid)


def test_a_new_file_can_be_read_by_everybody(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    journal.good("umask 077; write_down; put after")

    assert journal.file.stat().st_mode & 0o7777 == 0o644


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


def test_the_file_in_its_place_is_not_changed_again_when_the_others_go(journal: Journal) -> None:
    journal.good("write_down; begin; put after")
    placed = journal.file.stat()

    journal.good("work=$pending; forget")

    assert placed.st_nlink == 1
    assert journal.file.stat().st_ctime_ns == placed.st_ctime_ns


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

    assert journal.good(f"{spy}; write_down; say 'refused hunter2' | masked") == "refused ***\n"


def have(journal: Journal, *names: str) -> None:
    """Generations of these names."""
    for name in names:
        directory = journal.state_dir / "generations" / name
        directory.mkdir()
        (directory / "daemon.json").write_text(name)


@table(
    "there, number",
    first=((), 1),
    second=(("1",), 2),
    by_number_and_not_by_name=(("9", "10", "2"), 11),
    others_are_passed_over=(("3", "backup", "7x"), 4),
)
def test_a_generation_is_numbered_after_the_newest(
    journal: Journal, there: tuple[str, ...], number: int
) -> None:
    have(journal, *there)

    said = journal.good("write_down; keep_generation; say $number; cat $work/number")

    assert said == f"{number}\n{number}\n"
    assert number in journal.generations()


@table("there", file_and_record=["daemon.json", "owned.json"], nothing=[])
def test_a_generation_is_the_file_and_the_records_before_the_change(
    tmp_path: Path, there: list[str]
) -> None:
    journal = Journal(tmp_path)
    (journal.state_dir / "proof.json").write_text("proof")
    for path in (journal.file, journal.state_dir / "owned.json"):
        if path.name in there:
            path.write_text(path.name)
            path.chmod(0o600)

    journal.good("write_down; keep_generation")

    kept = sorted((journal.state_dir / "generations" / "1").iterdir())
    assert [item.name for item in kept] == [item.read_text() for item in kept] == there
    assert {item.stat().st_mode & 0o7777 for item in kept} <= {0o600}


def test_a_generation_that_was_only_begun_is_no_part_of_the_next(journal: Journal) -> None:
    half = journal.state_dir / "generations" / ".new"
    half.mkdir()
    journal.good("write_down; forget")

    journal.good("write_down; keep_generation; forget")

    assert journal.generations() == [1]
    assert not half.exists()


@table(
    "there, keep, kept",
    just_as_many=(range(1, 10), 10, list(range(1, 11))),
    one_too_many=(range(1, 11), 10, list(range(2, 12))),
    many_too_many=(range(1, 31), 10, list(range(22, 32))),
    with_gaps=([1, 29, 30], 10, [29, 30, 31]),
    only_one=(range(1, 4), 1, [4]),
)
def test_only_the_newest_generations_are_kept_beside_what_is_none(
    tmp_path: Path, there: list[int], keep: int, kept: list[int]
) -> None:
    journal = Journal(tmp_path, keep=keep)
    have(journal, *map(str, there), "0-backup", "notes")

    journal.good("write_down; keep_generation; drop_old_generations")

    left = {item.name for item in (journal.state_dir / "generations").iterdir()}
    assert left == {*map(str, kept), "0-backup", "notes"}


@table(
    "steps, asked, reached",
    none=([], "write", False),
    earlier=(["claim", "write"], "claim", True),
    with_a_space=(["restart after"], "restart after", True),
    a_part_of_it=(["restart after"], "restart", False),
    read_as_a_pattern=(["done"], "don.", True),
    the_end_of_another=(["undone"], "done", False),
)
def test_a_step_is_reached_once_it_is_written_down_by_this_run_or_another(
    journal: Journal, steps: list[str], asked: str, reached: bool
) -> None:
    journal.good("; ".join(["write_down; begin", *(f"step '{step}'" for step in steps)]))

    said = journal.good(f"work=$pending; reached '{asked}' && say yes || say no")

    assert said == ("yes\n" if reached else "no\n")


@table("body", empty=": > f", none=":")
def test_a_file_that_is_empty_is_not_one_that_is_absent(journal: Journal, body: str) -> None:
    said = journal.good(f"cd '{journal.state_dir}'; {body}; sha256_of f")

    assert (said == "absent\n") is (body == ":")
