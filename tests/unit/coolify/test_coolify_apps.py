"""Apps that get the option: each once, also if Coolify fails; and their restarts, if declared."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pyinfra_gvisor.coolify.apps import Outcome
from pyinfra_gvisor.coolify.options import runtime_of
from pyinfra_gvisor.coolify.settings import AppExemption
from pyinfra_gvisor.coolify.transport import Transport
from tests.table import table
from tests.unit.coolify.coolify_team import CHANGED, NEVER, Killed, Team, team_at_work


@pytest.fixture
def team() -> Iterator[Team]:
    with team_at_work() as found:
        yield found


def test_an_app_that_needs_it_is_written_once_and_no_other_nor_again(team: Team) -> None:
    shop = team.state.add_app("shop", team.run, "--init")
    team.state.add_app("set", team.run, "--runtime=runsc")
    team.state.add_app("compose", team.run, build_pack="dockercompose")
    found = team.look()
    team.server.seen.clear()

    outcome = team.set(found)

    assert outcome == Outcome(set=("shop",))
    assert outcome.ok
    app = f"/applications/{shop}"
    assert team.server.asked() == [f"GET {app}", f"PATCH {app}", "GET /applications"]
    assert team.state.options(shop) == "--init --runtime=runsc"
    assert team.lines == [
        'app shop (server run-1): set to "--init --runtime=runsc"',
        "apps: 1 set, 0 already set, 0 restarted, 0 failed, 0 not reached",
    ]
    found = team.look()
    team.server.seen.clear()
    team.lines.clear()
    assert (team.set(found), team.server.seen, team.lines) == (Outcome(), [], [])


def test_an_app_is_written_from_what_it_says_then(team: Team) -> None:
    a, b, c, d, e = team.apps(*"abcde")
    found = team.look()
    team.state.applications[a]["custom_docker_run_options"] = "--cap-drop=ALL"
    team.state.applications[b]["custom_docker_run_options"] = "--init --runtime=runsc"
    team.state.remove_app(c)
    name = {"is_consistent_container_name_enabled": True, "custom_internal_name": "x"}
    team.state.settings[d] |= name
    team.state.applications[e]["build_pack"] = "dockercompose"

    outcome = team.set(found)

    assert (outcome.set, outcome.unchanged, outcome.ok) == (("a",), ("b",), False)
    assert [who for who, _ in outcome.failed] == ["app d (server run-1)", "app e (server run-1)"]
    assert team.state.options(a) == "--cap-drop=ALL --runtime=runsc"
    assert team.server.patches == {a: 1}
    assert "app c (server run-1): deleted in the meantime" in team.lines


def test_somebody_who_takes_it_away_again_is_found_out(team: Team) -> None:
    a, b, c = team.apps(*"abc")
    found = team.look()

    def edit(method: str, path: str) -> None:
        if (method, path) == ("GET", "/api/v1/applications"):
            team.state.applications[b]["custom_docker_run_options"] = "--init"
            team.state.remove_app(c)

    team.server.before = edit

    outcome = team.set(found)

    why = "changed by somebody in the meantime; run again"
    assert outcome == Outcome(set=("a",), failed=(("app b (server run-1)", why),))
    assert "app c (server run-1): deleted in the meantime" in team.lines
    assert team.server.patches == {a: 1, b: 1, c: 1}


def test_an_app_that_coolify_rejects_keeps_no_other_from_being_set(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = team.apps(*"abc")
    rejected, change = {"custom_docker_run_options": ["No."]}, team.state.change
    monkeypatch.setattr(
        team.state, "change", lambda uuid, body: rejected if uuid == b else change(uuid, body)
    )

    outcome = team.set()

    assert outcome.set == ("a", "c")
    ((label, why),) = outcome.failed
    assert label == "app b (server run-1)"
    assert why.endswith("(422): Validation failed. custom_docker_run_options: No.")
    assert team.server.patches == {a: 1, b: 1, c: 1}


def test_a_write_without_an_answer_is_done_once_by_this_run_or_the_next(team: Team) -> None:
    a, b, c, d = team.apps(*"abcd")
    team.server.arm(f"PATCH /applications/{b}", "500")
    team.server.arm(f"PATCH /applications/{c}", "late")

    first = team.set()
    second = team.set()

    assert first.set == ("a", "c", "d")
    assert first.failed[0][1].endswith("; the app does not have the option; run again")
    assert (second, team.server.patches) == (Outcome(set=("b",)), {a: 1, b: 2, c: 1, d: 1})


def test_apps_without_an_answer_fail_and_three_in_a_row_end_the_run(team: Team) -> None:
    uuids = team.apps(*"abcdefghij")
    found = team.look()
    team.server.arm(f"GET /applications/{uuids[1]}", "500", times=3)
    team.server.arm("GET /applications/*", "500", nth=3, times=999)

    outcome = team.set(found)

    assert outcome.set == ("a", "c")
    assert [label for label, _ in outcome.failed] == [f"app {x} (server run-1)" for x in "bdef"]
    assert outcome.left == 4
    assert "Coolify does not answer GET /applications/" in outcome.stopped
    assert not outcome.ok


@pytest.mark.parametrize("asked", ["GET", "PATCH"])
def test_a_withdrawn_token_ends_the_run_and_the_next_one_goes_on(team: Team, asked: str) -> None:
    _, b, _ = team.apps(*"abc")
    found = team.look()

    team.refuse_from(asked, b)
    first = team.set(found)
    team.server.before = lambda _method, _path: None
    team.server.refusal = None
    second = team.set()

    assert (first.set, first.left, first.failed) == (("a",), 2, ())
    assert "API is disabled." in first.stopped
    assert not first.ok
    assert second == Outcome(set=("b", "c"))


def test_running_apps_that_were_set_are_restarted_one_at_a_time(team: Team) -> None:
    a, b = team.apps("a", "b")
    team.state.add_app("set", team.run, "--runtime=runsc")

    outcome = team.set(choice=CHANGED)

    assert outcome == Outcome(set=("a", "b"), redeployed=("a", "b"))
    assert outcome.ok
    posts = [at for at, asked in enumerate(team.server.asked()) if asked.startswith("POST")]
    polls = [at for at, asked in enumerate(team.server.asked()) if "/deployments/" in asked]
    assert team.state.restarted == [a, b]
    assert posts[0] < polls[0] < polls[2] < posts[1] < polls[3]
    assert team.writes == [{a, b}, {b}, frozenset()]


def test_nothing_is_restarted_where_that_is_not_wanted(team: Team) -> None:
    team.apps("a")
    team.redeploys = frozenset({"earlier"})

    outcome = team.set(choice=NEVER)

    assert outcome == Outcome(set=("a",), redeploys=frozenset({"earlier"}))
    assert (team.server.asked("POST *"), team.writes) == ([], [])


@table(
    "status, is_ok, is_owed",
    running=("running:healthy", True, False),
    as_older_releases_say=("running (healthy)", True, False),
    stopped=("exited:unhealthy", True, False),
    stopped_plainly=("exited", True, False),
    degraded=("degraded:unhealthy", False, True),
    restarting=("restarting:unknown", False, True),
    unknown=("", False, True),
)
def test_only_a_running_app_is_restarted_and_a_stopped_one_never_started(
    team: Team, status: str, is_ok: bool, is_owed: bool
) -> None:
    shop = team.state.add_app("shop", team.run, status=status)

    outcome = team.set(choice=CHANGED)

    assert team.state.restarted == ([shop] if status.startswith("running") else [])
    assert (outcome.set, outcome.ok) == (("shop",), is_ok)
    assert team.redeploys == ({shop} if is_owed else frozenset())


@table(
    "last, why",
    failed=("failed", "failed; read its log in Coolify"),
    cancelled=("cancelled-by-user", "was cancelled by a user"),
    too_long=("in_progress", "is still in_progress"),
)
def test_a_deployment_that_does_not_finish_is_told_and_tried_again_by_the_next_run(
    team: Team, last: str, why: str
) -> None:
    a, b = team.apps("a", "b")
    team.state.course = ("queued", "in_progress", last)

    first = team.set(choice=CHANGED)
    team.state.course = ("in_progress", "finished")
    second = team.set(choice=CHANGED)

    assert (first.set, first.redeployed, first.redeploys) == (("a", "b"), (), {a, b})
    assert all(why in text for _, text in first.failed)
    assert (second, team.server.patches) == (Outcome(redeployed=("a", "b")), {a: 1, b: 1})
    assert team.redeploys == frozenset()


@table(
    "knob, why",
    busy=("busy", "another one of this app is running"),
    queue_full=("queue_full", "its queue is full"),
)
def test_a_restart_is_asked_for_until_coolify_begins_it_or_the_time_is_over(
    team: Team, knob: str, why: str
) -> None:
    (shop,) = team.apps("a")
    setattr(team.state, knob, 13 + 3)

    given_up = team.set(choice=CHANGED)
    tries = len(team.server.asked("POST *"))
    begun = team.set(choice=CHANGED)

    said = f"Coolify started no deployment within 60 s: {why}"
    assert given_up.failed == (("app a (server run-1)", said),)
    assert (given_up.redeploys, tries, begun) == ({shop}, 13, Outcome(redeployed=("a",)))
    assert (team.state.restarted, len(team.server.asked("POST *"))) == ([shop], 13 + 4)


def test_what_an_earlier_run_owes_is_restarted_if_it_still_asks_for_the_runtime(team: Team) -> None:
    done = team.state.add_app("done", team.run, "--runtime=runsc")
    undone = team.state.add_app("undone", team.run, "--env=$X")
    exempt = team.state.add_app("exempt", team.run, "--runtime=runsc")
    team.redeploys = frozenset({done, undone, exempt, "gone"})
    choice = replace(CHANGED, exempt=(AppExemption(app="exempt", reason="moves next week"),))

    outcome = team.set(choice=choice)

    assert (outcome, team.state.restarted) == (Outcome(redeployed=("done",)), [done])
    assert {line.split(": ", 1)[1] for line in team.lines if "not restarted" in line} == {
        "not restarted: its options do not ask for runsc",
        "not restarted: exempt: moves next week",
        "not restarted: deleted in the meantime",
    }


def test_an_app_that_was_not_set_by_us_is_not_owed(team: Team) -> None:
    a, b = team.apps("a", "b")
    found = team.look(CHANGED)
    team.state.applications[a]["custom_docker_run_options"] = "--runtime=runsc"

    outcome = team.set(found, CHANGED)

    assert outcome == Outcome(set=("b",), unchanged=("a",), redeployed=("b",))
    assert (team.state.restarted, team.writes) == ([b], [{a, b}, {b}, frozenset()])


def test_an_app_that_may_have_been_set_stays_owed(team: Team) -> None:
    (shop,) = team.apps("a")
    team.server.arm("PATCH *", "late")
    team.server.arm(f"GET /applications/{shop}", "500", nth=3, times=6)

    first = team.set(choice=CHANGED)
    redeploys = team.redeploys
    second = team.set(choice=CHANGED)

    assert not first.ok
    assert (redeploys, second) == ({shop}, Outcome(redeployed=("a",)))
    assert team.server.patches == {shop: 1}


def test_a_restart_without_an_answer_or_with_a_withdrawn_token_leaves_the_rest_owed(
    team: Team,
) -> None:
    a, b = team.apps("a", "b")
    team.server.arm(f"POST /applications/{a}/restart", "late")

    unanswered = team.set(choice=CHANGED)
    restarted, redeploys = [*team.state.restarted], team.redeploys
    c, d = team.apps("c", "d")
    team.refuse_from("POST", d)
    withdrawn = team.set(choice=CHANGED)

    assert (unanswered.redeployed, restarted, redeploys) == (("b",), [a, b], {a})
    assert (withdrawn.set, withdrawn.left, withdrawn.ok) == (("c", "d"), 1, False)
    assert team.state.restarted == [a, b, a, c]
    assert team.redeploys == {d}


@pytest.mark.parametrize("is_sent", [False, True], ids=["before-it-is-sent", "behind-its-answer"])
def test_a_run_that_is_killed_at_any_request_is_finished_by_the_next(
    monkeypatch: pytest.MonkeyPatch, is_sent: bool
) -> None:
    ask, killed = Transport._ask, 0

    for at in range(1, 100):
        left = at

        def dies(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not is_sent:
                raise Killed
            answer = ask(*arguments)
            if left == 0:
                raise Killed
            return answer

        with team_at_work() as team:
            apps = team.apps("a", "b")
            with monkeypatch.context() as patched:
                patched.setattr(Transport, "_ask", dies)
                try:
                    team.set(choice=CHANGED)
                except Killed:
                    killed += 1
            is_whole = left > 0
            second = team.set(choice=CHANGED)

            assert second.ok
            assert {runtime_of(team.state.options(uuid)) for uuid in apps} == {"runsc"}
            assert team.server.patches == dict.fromkeys(apps, 1)
            assert (set(team.state.restarted), team.redeploys) == (set(apps), frozenset())
        if is_whole:
            break

    assert killed == at - 1 == 20
