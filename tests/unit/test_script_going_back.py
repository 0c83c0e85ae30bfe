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


ANOTHER = "identity() { say boot/2/2; }\n"
RELOADED = "step write; step 'reload after'; put after"


@pytest.mark.parametrize(
    ("hooks", "restarts"),
    [
        pytest.param("", 0, id="reloads"),
        pytest.param("reload_dockerd() { false; }", 1, id="refuses"),
        pytest.param(
            "reload_dockerd() { false; }; check_units() { false; }", 0, id="refuses-beside-units"
        ),
        pytest.param(
            "reload_dockerd() { false; }; wait_for_ephemeral() { false; }",
            0,
            id="refuses-with-jobs",
        ),
        pytest.param(
            "reload_dockerd() { false; }; check_units() { false; }; service_runs() { false; }\n"
            "identity() { true; }",
            1,
            id="does-not-run",
        ),
    ],
)
def test_where_others_have_restarted_dockerd_a_reload_goes_back_if_it_can(
    tmp_path: Path, hooks: str, restarts: int
) -> None:
    change = Change(tmp_path)
    (change.state_dir / "applied.json").write_text('{"dockerd":"boot/1/1"}\n')

    said = change.after(f"{RELOADED}; {ANOTHER}{hooks}\nrevert || true")

    assert said.count("restarted\n") == restarts
    assert change.file.read_text() == "old"


def test_what_a_dockerd_that_others_have_started_has_read_is_not_known(tmp_path: Path) -> None:
    change = Change(tmp_path)
    record = change.state_dir / "applied.json"
    record.write_text('{"dockerd":"boot/1/1"}\n')

    change.after(f"{RELOADED}; {ANOTHER}revert")

    assert record.read_text() == '{"dockerd":"boot/1/1"}\n'


@pytest.mark.parametrize(
    ("answers", "restarts"), [pytest.param("true", 0, id="up"), pytest.param("false", 1, id="down")]
)
def test_a_change_without_force_goes_back_to_a_dockerd_that_runs(
    tmp_path: Path, answers: str, restarts: int
) -> None:
    change = Change(tmp_path, action="nothing")
    helps = "service_restart() { say restarted; answers() { true; }; }"
    dead = f"{ANOTHER}answers() {{ {answers}; }}; {helps}"

    said = change.after(f"step write; put after; {dead}; revert")

    assert said.count("restarted\n") == restarts
    assert "reloaded" not in said.partition("restarted")[0]
    assert change.file.read_text() == "old"


def test_a_bad_file_that_is_found_before_the_restart_is_answered_by_a_reload(
    tmp_path: Path,
) -> None:
    change = Change(tmp_path, action="restart")
    bad = "accepts() { return 1; }; refusal() { say typo; }; snapshot() { true; }\n"
    others = "wait_for_ephemeral() { printf '{\"mtu\":true}' > $target; }\n"
    change.files["after"] = '{"dns":[]}'
    change.file.write_text("{}")

    said = change.after("step write; restart_with after on off || revert", hooks=bad + others)

    assert "has just written: typo; rolling back" in said
    assert "restarted" not in said
    assert "the node runs its previous configuration" in said
    assert json.loads(change.file.read_text()) == {"mtu": True}


def test_after_a_cut_before_the_restart_it_counts_as_made(tmp_path: Path) -> None:
    change = Change(tmp_path, action="restart")
    change.after("step write; put() { exit 9; }; snapshot() { true; }; restart_with after on off")

    said = change.told("resume")

    assert "restarted" in said
    assert change.file.read_text() == "old"
