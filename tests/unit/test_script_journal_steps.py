"""Generations, steps, and whose file it is: what an interrupted change is judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.journal_script import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A node that has a daemon.json, and is about to get a new one."""
    made = Journal(tmp_path)
    made.file.write_text("old")
    return made


def have(journal: Journal, *names: str) -> None:
    """Generations of these names."""
    for name in names:
        directory = journal.state_dir / "generations" / name
        directory.mkdir()
        (directory / "daemon.json").write_text(name)


@pytest.mark.parametrize(
    ("there", "number"),
    [
        pytest.param((), 1, id="first"),
        pytest.param(("1",), 2, id="second"),
        pytest.param(("9", "10", "2"), 11, id="by-number-and-not-by-name"),
        pytest.param(("3", "backup", "7x"), 4, id="others-are-passed-over"),
    ],
)
def test_a_generation_is_numbered_after_the_newest(
    journal: Journal, there: tuple[str, ...], number: int
) -> None:
    have(journal, *there)

    said = journal.good("write_down; keep_generation; say $number; cat $work/number")

    assert said == f"{number}\n{number}\n"
    assert number in journal.generations()


def test_a_generation_is_the_file_and_the_records_before_the_change(journal: Journal) -> None:
    (journal.state_dir / "owned.json").write_text("owned")
    (journal.state_dir / "proof.json").write_text("proof")
    journal.file.chmod(0o600)

    journal.good("write_down; keep_generation")

    kept = journal.state_dir / "generations" / "1"
    assert {item.name: item.read_text() for item in kept.iterdir()} == {
        "daemon.json": "old",
        "owned.json": "owned",
    }
    assert (kept / "daemon.json").stat().st_mode & 0o7777 == 0o600


def test_where_there_was_nothing_a_generation_is_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    journal.good("write_down; keep_generation")

    assert list((journal.state_dir / "generations" / "1").iterdir()) == []


def test_a_generation_that_was_only_begun_is_no_part_of_the_next(journal: Journal) -> None:
    half = journal.state_dir / "generations" / ".new"
    half.mkdir()
    journal.good("write_down; forget")

    journal.good("write_down; keep_generation; forget")

    assert journal.generations() == [1]
    assert not half.exists()


@pytest.mark.parametrize(
    ("there", "keep", "kept"),
    [
        pytest.param(range(1, 4), 10, [1, 2, 3, 4], id="few"),
        pytest.param(range(1, 10), 10, list(range(1, 11)), id="just-as-many"),
        pytest.param(range(1, 11), 10, list(range(2, 12)), id="one-too-many"),
        pytest.param(range(1, 31), 10, list(range(22, 32)), id="many-too-many"),
        pytest.param([1, 29, 30], 10, [29, 30, 31], id="with-gaps"),
        pytest.param(range(1, 4), 1, [4], id="only-one"),
    ],
)
def test_only_the_newest_generations_are_kept(
    tmp_path: Path, there: list[int], keep: int, kept: list[int]
) -> None:
    journal = Journal(tmp_path, keep=keep)
    have(journal, *map(str, there))

    journal.good("write_down; keep_generation; drop_old_generations")

    assert journal.generations() == kept


def test_what_is_no_generation_is_not_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path, keep=1)
    have(journal, "1", "0-backup", "notes")

    journal.good("write_down; keep_generation; drop_old_generations")

    left = {item.name for item in (journal.state_dir / "generations").iterdir()}
    assert left == {"2", "0-backup", "notes"}


@pytest.mark.parametrize(
    ("steps", "asked", "reached"),
    [
        pytest.param([], "write", False, id="none"),
        pytest.param(["claim", "write"], "write", True, id="last"),
        pytest.param(["claim", "write"], "claim", True, id="earlier"),
        pytest.param(["restart after"], "restart after", True, id="with-a-space"),
        pytest.param(["restart after"], "restart", False, id="a-part-of-it"),
        pytest.param(["done"], "don.", True, id="read-as-a-pattern"),
        pytest.param(["undone"], "done", False, id="the-end-of-another"),
    ],
)
def test_a_step_is_reached_once_it_is_written_down(
    journal: Journal, steps: list[str], asked: str, reached: bool
) -> None:
    taken = "".join(f"step '{step}'; " for step in steps)

    said = journal.good(f"write_down; begin; {taken} reached '{asked}' && say yes || say no")

    assert said == ("yes\n" if reached else "no\n")


def test_steps_outlive_the_run_that_took_them(journal: Journal) -> None:
    journal.good("write_down; begin; step write")

    said = journal.good("work=$pending; reached write && ! reached done && say yes")

    assert said == "yes\n"


@pytest.mark.parametrize("body", [pytest.param(": > f", id="empty"), pytest.param(":", id="none")])
def test_a_file_that_is_empty_is_not_one_that_is_absent(journal: Journal, body: str) -> None:
    said = journal.good(f"cd '{journal.state_dir}'; {body}; sha256_of f")

    assert (said == "absent\n") is (body == ":")
