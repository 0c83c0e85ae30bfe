"""``daemon_json/apply.sh``: what it looks at first, restarts of dockerd, and the way back."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.table import table
from tests.unit.daemon_json.journal_script import Change

CLAIM = "step claim; write_state owned.json < $work/intent"
CUT = f"{CLAIM}; step write; step 'reload after'; put after"


@table("mode", boot="boot", run="")
@table("cut", after_a_claim=CLAIM, after_a_file=CUT)
def test_an_interrupted_change_is_undone(tmp_path: Path, cut: str, mode: str) -> None:
    change = Change(tmp_path)
    change.after(cut)

    said = change.told(f"resume {mode}", hooks="accepts() { true; }")

    assert "the node runs its previous configuration" in said
    assert ("reloaded" in said) is ((cut, mode) == (CUT, ""))
    assert change.file.read_text() == "old"
    assert not (change.state_dir / "owned.json").exists()
    assert change.left() == []


@table("mode", boot="boot", run="")
@table("before", file="old", none=None)
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
    assert json.loads((change.state_dir / "last-run.json").read_text())["result"] == "revert failed"


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


@table(
    "expected, first, there",
    file=("0" * 64, "", True),
    none=("absent", "", False),
    nothing_is_staged=("absent", "rm -rf $staged; ", True),
)
def test_a_file_of_others_is_removed_only_where_there_was_none(
    tmp_path: Path, expected: str, first: str, there: bool
) -> None:
    change = Change(tmp_path, None, expect_sha256=expected)

    said = change.after(f"say theirs > $target; {first}put_aside || say kept")

    assert (said == "kept\n") is change.file.exists() is there
    assert not there or change.file.read_text() == "theirs\n"


ANOTHER = "identity() { say boot/2/2; }\n"
RELOADED = "step write; step 'reload after'; put after"


@table(
    "hooks, restarts",
    reloads=("", 0),
    refuses=("reload_dockerd() { false; }", 1),
    refuses_beside_units=("reload_dockerd() { false; }; check_units() { false; }", 0),
    refuses_with_jobs=("reload_dockerd() { false; }; wait_for_ephemeral() { false; }", 0),
    does_not_run=(
        (
            "reload_dockerd() { false; }; check_units() { false; }; service_runs() { false; }\n"
            "identity() { true; }"
        ),
        1,
    ),
)
def test_where_others_have_restarted_dockerd_a_reload_goes_back_if_it_can(
    tmp_path: Path, hooks: str, restarts: int
) -> None:
    change = Change(tmp_path)
    record = change.state_dir / "applied.json"
    record.write_text('{"dockerd":"boot/1/1"}\n')

    said = change.after(f"{RELOADED}; {ANOTHER}{hooks}\nrevert || true")

    assert said.count("restarted\n") == restarts
    assert change.file.read_text() == "old"
    if not hooks:  # what a dockerd that others have started has read is not known
        assert record.read_text() == '{"dockerd":"boot/1/1"}\n'


@table("answers, restarts", up=("true", 0), down=("false", 1))
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

    assert "restarted" in change.told("resume")
    assert change.file.read_text() == "old"


FORWARD = "restart_with after on off"
BACK = "going_back=yes; step 'restart after'; restart_with old old_on old_off"
# How dockerd answers: it has loaded the file as it is when it reloads, and says so.
LOADED = """
loaded=old
service_reload() { loaded=$(cat $target); say "reloaded $loaded"; }
live_restore_is() { case "$loaded" in *on) [ "$1" = true ] ;; *) [ "$1" = false ] ;; esac; }
"""
HUNG = "answers() { false; }; live_restore_is() { false; }; reload_dockerd() { answers; }\n"


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """A change of a file that has no live-restore."""
    made = Change(tmp_path)
    made.files |= {"on": "new on", "off": "new off", "old_on": "old on", "old_off": "old off"}
    return made


@table("steps, final", on=(FORWARD, "new"), back=(BACK, "old"))
def test_a_restart_goes_through_live_restore(change: Change, steps: str, final: str) -> None:
    said = change.after(f"{steps} || say failed", hooks=LOADED)

    reloads = [f"reloaded {final} off", f"reloaded {final}"]
    assert said.splitlines() == ["reloaded old on", "restarted", *reloads]
    assert change.file.read_text() == final


@table(
    "steps, hooks, reason",
    others_switch_it_off_while_the_change_waits=(
        FORWARD,
        f"{LOADED}wait_for_ephemeral() {{ loaded=theirs; }}",
        "live-restore is no longer on",
    ),
    it_cannot_be_switched_on_on_the_way_back=(
        BACK,
        "live_restore_is() { false; }",
        "live-restore could not be switched on",
    ),
)
def test_a_dockerd_that_answers_is_not_restarted_without_live_restore(
    change: Change, steps: str, hooks: str, reason: str
) -> None:
    said = change.after(f"{steps} || say failed: $reason", hooks=hooks)

    assert "restarted" not in said
    assert f"failed: {reason}" in said


@pytest.mark.parametrize("state", ["active", "reloading", "activating"])
def test_a_dockerd_that_hangs_is_not_restarted_on_the_way_there(change: Change, state: str) -> None:
    unit = f"systemctl() {{ say {state}; }}\n"

    said = change.after(f"{FORWARD} || say failed: $reason", hooks=HUNG + unit)

    assert said == (
        "failed: live-restore could not be switched on, and a restart would have stopped "
        "containers\n"
    )


def test_a_dockerd_that_hangs_is_restarted_on_the_way_back_and_told_to_reload_first(
    change: Change,
) -> None:
    told = 'service_reload() { say "told of $(cat $target)"; }\n'
    wakes = "service_restart() { say restarted; answers() { true; }; }"

    said = change.after(f"{BACK} || say failed", hooks=HUNG + told + wakes)

    assert said.splitlines()[:2] == ["told of old on", "restarted"]
    assert "failed" not in said


@table(
    "steps, hooks",
    not_running=(BACK, "identity() { true; }; service_runs() { false; }"),
    not_ours_to_switch=(FORWARD, "can_live_restore=no"),
)
def test_a_dockerd_that_does_not_run_or_may_not_have_it_is_not_asked(
    change: Change, steps: str, hooks: str
) -> None:
    asked = "live_restore_is() { say asked >&2; false; }\n"

    said = change.after(steps, hooks=asked + hooks)

    assert said.splitlines()[0] == "restarted"
    assert "asked" not in said


@table(
    "snapshot, said",
    once_not=('[ "$(wc -l < $work/asked)" -gt 1 ]', ""),
    never=("false", "failed: the Docker API does not list the containers"),
)
def test_what_runs_is_asked_again_before_a_restart(
    change: Change, snapshot: str, said: str
) -> None:
    twice = 'within() { shift; "$@" || "$@"; }\n'
    asked = f"snapshot() {{ say asked >> $work/asked; {snapshot}; }}\n"

    told = change.after(f"{FORWARD} || say failed: $reason", hooks=twice + asked)

    assert ("restarted" in told) is (not said)
    assert said in told


READ = hashlib.sha256(b"old").hexdigest()
FIT = "check_node() { :; }; validate() { :; }; ephemeral() { :; }; snapshot() { :; }\n"


@pytest.fixture
def planned(tmp_path: Path) -> Change:
    """A restart that was planned from the file as it is."""
    return Change(tmp_path, action="restart", expect_sha256=READ)


def refused(planned: Change, said: str, reason: str) -> bool:
    """Whether this is what is said and written down, and the file is as somebody left it."""
    record = json.loads((planned.state_dir / "last-run.json").read_text())
    told = f"docker.daemon_json: {planned.file} on run-1: {reason}; nothing was changed\n"
    return said.endswith(told) and (record["result"], record["reason"]) == ("refused", reason)


@table(
    "body, reason",
    since_the_plan=(
        "say theirs > $file; prepare",
        "the file has changed since it was read; run again",
    ),
    while_it_is_staged=(
        'cp() { say theirs > $file; command cp "$@"; }; prepare',
        "the file has just changed; run again",
    ),
)
def test_a_file_that_has_changed_since_the_plan_is_left_alone(
    planned: Change, body: str, reason: str
) -> None:
    assert refused(planned, planned.told(body, hooks=FIT), reason)
    assert planned.file.read_text() == "theirs\n"
    assert planned.left() == []


@table("asked, ended", ended=(2, True), still_run=(9, False))
def test_rm_containers_are_waited_for_and_not_ended(
    planned: Change, asked: int, ended: bool
) -> None:
    # They run until they are asked for so often; the wait asks three times.
    count = f'[ "$(wc -l < $work/asked)" -gt {asked} ]'
    runs = f"wait_s=7; ephemeral() {{ say >> $work/asked; {count} || say job; }}\n"
    waits = 'within() { say "within $1 s" >&2; shift; "$@" || "$@" || "$@"; }\n'

    said = planned.told("prepare; say prepared", hooks=FIT + runs + waits)

    waited = "waiting up to 7 s for --rm containers, which a restart of dockerd would end: job\n"
    assert f"{waited}within 7 s\n" in said
    assert said.endswith("prepared\n") is ended
    reason = "a restart of dockerd would end the --rm containers job, which still run after 7 s"
    assert (ended or refused(planned, said, reason)) is True


@table(
    "record, said",
    applied=('{"id":"a1","result":"applied"}', "this change was already applied\nwell\n"),
    failed=('{"id":"a1","result":"reverted"}', "last-run.json\nbadly\n"),
    another=('{"id":"b2","result":"applied"}', "goes on\nwell\n"),
)
def test_a_change_that_is_sent_twice_is_made_once(planned: Change, record: str, said: str) -> None:
    (planned.state_dir / "last-run.json").write_text(f"{record}\n")

    told = planned.told("(not_twice && say goes on) && say well || say badly")

    assert told.endswith(said)
    assert ("goes on" in told) is ("goes on" in said)


@table("action, delayed", restart=("restart", True), reload=("reload", False))
def test_systemds_repeats_are_delayed_before_its_files_are_written_and_while_they_are_there(
    tmp_path: Path, action: str, delayed: bool
) -> None:
    change = Change(tmp_path, action=action, expect_sha256=READ)
    looks = f"$(find {change.units} -name 'pyinfra*' | wc -l)"
    hooks = (
        f'service_delay_retries() {{ say "delayed beside {looks}"; }}\n'
        f'service_restore_retries() {{ say "restored beside {looks}"; }}\n'
    )

    said = change.told("prepare; step write; reason=no; revert", hooks=FIT + hooks)

    told = [line for line in said.splitlines() if " beside " in line]
    assert told == [*(["delayed beside 0"] if delayed else []), "restored beside 0"]
    assert "the node runs its previous configuration" in said
