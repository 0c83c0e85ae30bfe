"""Live-restore is on in the dockerd that is restarted, or there is no restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.change_script import Change

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


@pytest.mark.parametrize(
    ("steps", "final"),
    [pytest.param(FORWARD, "new", id="on"), pytest.param(BACK, "old", id="back")],
)
def test_a_restart_goes_through_live_restore(change: Change, steps: str, final: str) -> None:
    said = change.after(f"{steps} || say failed", hooks=LOADED)

    reloads = [f"reloaded {final} off", f"reloaded {final}"]
    assert said.splitlines() == ["reloaded old on", "restarted", *reloads]
    assert change.file.read_text() == final


def test_live_restore_that_others_switch_off_while_the_change_waits_is_seen(
    change: Change,
) -> None:
    others = "wait_for_ephemeral() { loaded=theirs; }"

    said = change.after(f"{FORWARD} || say failed: $reason", hooks=LOADED + others)

    assert "restarted" not in said
    assert "failed: live-restore is no longer on" in said


@pytest.mark.parametrize(
    "state", [pytest.param(name, id=name) for name in ("active", "reloading", "activating")]
)
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


def test_a_dockerd_that_answers_without_live_restore_is_not_restarted_on_the_way_back(
    change: Change,
) -> None:
    refuses = "live_restore_is() { false; }"

    said = change.after(f"{BACK} || say failed: $reason", hooks=refuses)

    assert "restarted" not in said
    assert "failed: live-restore could not be switched on" in said


@pytest.mark.parametrize(
    ("steps", "hooks"),
    [
        pytest.param(BACK, "identity() { true; }; service_runs() { false; }", id="not-running"),
        pytest.param(FORWARD, "can_live_restore=no", id="not-ours-to-switch"),
    ],
)
def test_a_dockerd_that_does_not_run_or_may_not_have_it_is_not_asked(
    change: Change, steps: str, hooks: str
) -> None:
    asked = "live_restore_is() { say asked >&2; false; }\n"

    said = change.after(steps, hooks=asked + hooks)

    assert said.splitlines()[0] == "restarted"
    assert "asked" not in said


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        pytest.param('[ "$(wc -l < $work/asked)" -gt 1 ]', "", id="once-not"),
        pytest.param("false", "failed: the Docker API does not list the containers", id="never"),
    ],
)
def test_what_runs_is_asked_again_before_a_restart(
    change: Change, snapshot: str, said: str
) -> None:
    twice = 'within() { shift; "$@" || "$@"; }\n'
    asked = f"snapshot() {{ say asked >> $work/asked; {snapshot}; }}\n"

    told = change.after(f"{FORWARD} || say failed: $reason", hooks=twice + asked)

    assert ("restarted" in told) is (not said)
    assert said in told
