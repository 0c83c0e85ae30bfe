"""Apps that get the option while Coolify fails: nothing is lost, and the next run goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.coolify.apps import Outcome
from pyinfra_gvisor.coolify.options import runtime_of
from tests.coolify.api_server import TOKEN, Kind
from tests.unit.coolify_team import Killed, Team, team_at_work

OPTIONS = (
    None,
    "--init",
    "--cap-drop=ALL --cap-add=CHOWN",
    '--env="a --runtime=x b"',
    "--runtime=a",
)


@pytest.fixture
def team() -> Iterator[Team]:
    with team_at_work() as found:
        yield found


def test_an_app_that_coolify_rejects_keeps_no_other_from_being_set(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = team.apps(*"abc")
    change = team.state.change
    monkeypatch.setattr(
        team.state,
        "change",
        lambda uuid, body: (
            {"custom_docker_run_options": ["No."]} if uuid == b else change(uuid, body)
        ),
    )

    outcome = team.set()

    assert outcome.set == ("a", "c")
    ((label, why),) = outcome.failed
    assert label == "app b (server run-1)"
    assert why.endswith("(422): Validation failed. custom_docker_run_options: No.")
    assert team.server.patches == {a: 1, b: 1, c: 1}
    assert team.state.options(b) == "--init"


@pytest.mark.parametrize("kind", ["500", "stall", "cut", "html"])
def test_a_write_that_came_to_nothing_fails_and_the_next_run_does_it(
    team: Team, kind: Kind
) -> None:
    a, b, c = team.apps(*"abc")
    team.server.arm(f"PATCH /applications/{b}", kind)

    first = team.set(timeout_s=0.2)
    second = team.set()

    assert first.set == ("a", "c")
    assert first.failed[0][1].endswith("; the app does not have the option; run again")
    assert second == Outcome(set=("b",))
    assert team.server.patches == {a: 1, b: 2, c: 1}


@pytest.mark.parametrize("kind", ["late", "late-stall"])
def test_a_write_that_was_done_without_an_answer_is_not_done_again(team: Team, kind: Kind) -> None:
    a, b, c = team.apps(*"abc")
    team.server.arm(f"PATCH /applications/{b}", kind)

    outcome = team.set(timeout_s=0.2)

    assert outcome == Outcome(set=("a", "b", "c"))
    assert team.server.patches == {a: 1, b: 1, c: 1}


@pytest.mark.parametrize("kind", ["500", "stall", "cut", "html"])
def test_a_read_that_fails_twice_is_no_matter(team: Team, kind: Kind) -> None:
    a, _, _ = team.apps(*"abc")
    found = team.look()
    team.server.arm(f"GET /applications/{a}", kind, times=2)

    assert team.set(found, timeout_s=0.2).ok


def test_an_app_that_is_not_answered_for_fails_and_others_go_on(team: Team) -> None:
    a, b, c = team.apps(*"abc")
    found = team.look()
    team.server.arm(f"GET /applications/{b}", "500", times=9)

    outcome = team.set(found)

    assert outcome.set == ("a", "c")
    assert [label for label, _ in outcome.failed] == ["app b (server run-1)"]
    assert team.server.patches == {a: 1, c: 1}


def test_a_coolify_that_is_down_is_left_after_three_apps(team: Team) -> None:
    for number in range(10):
        team.state.add_app(f"app-{number}", team.run)
    found = team.look()
    team.server.arm("GET /applications/*", "500", nth=3, times=999)

    outcome = team.set(found)

    assert len(outcome.set) == 2
    assert len(outcome.failed) == 3
    assert outcome.left == 5
    assert "Coolify does not answer GET /applications/" in outcome.stopped
    assert not outcome.ok


@pytest.mark.parametrize(
    "refusal", [(401, "Unauthenticated."), (403, "API is disabled.")], ids=["401", "403"]
)
@pytest.mark.parametrize("asked", ["GET", "PATCH"])
def test_a_token_that_is_withdrawn_ends_the_run_and_the_next_one_goes_on(
    team: Team, refusal: tuple[int, str], asked: str
) -> None:
    a, b, c = team.apps(*"abc")
    found = team.look()

    def withdraw(method: str, path: str) -> None:
        if method == asked and path.endswith(b):
            team.server.refusal = refusal

    team.server.before = withdraw
    first = team.set(found)
    team.server.before = lambda _method, _path: None
    team.server.refusal = None
    second = team.set()

    assert (first.set, first.left, first.failed) == (("a",), 2, ())
    assert refusal[1] in first.stopped
    assert not first.ok
    assert second == Outcome(set=("b", "c"))
    assert all(runtime_of(team.state.options(uuid)) == "runsc" for uuid in (a, b, c))


def test_a_run_that_is_ended_anywhere_is_finished_by_the_next(team: Team) -> None:
    apps = team.apps(*"abcd")

    def killed(_line: str) -> None:
        raise Killed

    for _ in apps:
        with pytest.raises(Killed):
            team.set(tell=killed)
    outcome = team.set()

    assert outcome == Outcome()
    assert team.server.patches == dict.fromkeys(apps, 1)
    assert {team.state.options(uuid) for uuid in apps} == {"--init --runtime=runsc"}


def test_the_token_is_in_nothing_that_is_told(team: Team) -> None:
    a, b, _ = team.apps(*"abc")
    team.server.arm(f"PATCH /applications/{a}", "500")
    team.server.arm(f"GET /applications/{b}", "cut", nth=2, times=9)

    outcome = team.set()

    assert len(outcome.failed) == 2
    assert TOKEN not in f"{team.lines} {outcome!r} {outcome.summary}"
    assert {each.headers["Authorization"] for each in team.server.seen} == {f"Bearer {TOKEN}"}
