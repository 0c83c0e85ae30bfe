"""A change of daemon.json that is undone, also where that was interrupted before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.change_script import Change

CUT = "step write; step 'reload after'; put after"


@pytest.mark.parametrize("mode", [pytest.param("boot", id="boot"), pytest.param("", id="run")])
def test_an_interrupted_change_is_undone(tmp_path: Path, mode: str) -> None:
    change = Change(tmp_path)
    change.after(CUT)

    said = change.told(f"resume {mode}", hooks="accepts() { true; }")

    assert "the node runs its previous configuration" in said
    assert change.file.read_text() == "old"
    assert change.left() == []


@pytest.mark.parametrize("mode", [pytest.param("boot", id="boot"), pytest.param("", id="run")])
@pytest.mark.parametrize("before", [pytest.param("old", id="file"), pytest.param(None, id="none")])
def test_a_change_that_lost_the_previous_file_touches_nothing_and_ends(
    tmp_path: Path, mode: str, before: str | None
) -> None:
    change = Change(tmp_path, before)
    change.after(f"{CUT}; rm -rf $staged")

    said = change.told(f"resume {mode} || say failed")

    assert "restarted" not in said
    assert f"{change.staged} is missing" in said
    assert said.endswith("failed\n")
    assert change.file.read_text() == "new"
    assert change.left() == []
    record = json.loads((change.state_dir / "last-run.json").read_text())
    assert record["result"] == "revert failed"


@pytest.mark.parametrize(
    "program", ["rm", "mv", "sync"], ids=["removing", "moving", "writing-it-down"]
)
def test_a_rollback_that_is_cut_while_it_cleans_up_is_finished_by_the_next(
    tmp_path: Path, program: str
) -> None:
    change = Change(tmp_path)
    change.after(CUT)
    cut = f"release_ports() {{ {program}() {{ exit 9; }}; }}"

    change.told("resume", hooks=cut)
    change.told("resume boot", hooks="accepts() { true; }")

    assert change.file.read_text() == "old"
    assert not change.pending.exists()


@pytest.mark.parametrize(
    ("expected", "there"),
    [pytest.param("0" * 64, True, id="file"), pytest.param("absent", False, id="none")],
)
def test_a_file_of_others_is_removed_only_where_there_was_none(
    tmp_path: Path, expected: str, there: bool
) -> None:
    change = Change(tmp_path, None, expect_sha256=expected)

    change.after("say theirs > $target; put_aside || say kept")

    assert change.file.exists() is there


def test_without_what_was_staged_no_file_is_put_aside(tmp_path: Path) -> None:
    change = Change(tmp_path, None)

    said = change.after("say theirs > $target; rm -rf $staged; put_aside || say kept")

    assert said == "kept\n"
    assert change.file.read_text() == "theirs\n"
