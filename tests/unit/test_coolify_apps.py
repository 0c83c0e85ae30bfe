"""Apps that get the option: each once, and from what it says then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.coolify.apps import Outcome
from pyinfra_gvisor.coolify.options import runtime_of, without_runtime
from tests.coolify.api_server import RateLimit
from tests.unit.coolify_team import Team, team_at_work

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


def test_an_app_that_needs_it_is_written_once_and_any_other_not_at_all(team: Team) -> None:
    shop = team.state.add_app("shop", team.run, "--init")
    team.state.add_app("set", team.run, "--runtime=runsc")
    team.state.add_app("compose", team.run, build_pack="dockercompose")

    outcome = team.set()

    assert outcome == Outcome(set=("shop",))
    assert outcome.ok
    assert team.server.patches == {shop: 1}
    assert team.state.options(shop) == "--init --runtime=runsc"
    assert team.lines == [
        'app shop (server run-1): set to "--init --runtime=runsc"',
        "apps: 1 set, 0 already set, 0 restarted, 0 failed, 0 not reached",
    ]


def test_a_second_run_asks_for_nothing_and_says_nothing(team: Team) -> None:
    team.apps(*"abc")
    team.set()
    found = team.look()
    team.server.seen.clear()
    team.lines.clear()

    assert team.set(found) == Outcome()
    assert team.server.seen == []
    assert team.lines == []


def test_300_apps_are_set_under_the_rate_limit_and_lose_nothing(team: Team) -> None:
    before = {
        team.state.add_app(f"app-{number}", team.run, OPTIONS[number % len(OPTIONS)]): OPTIONS[
            number % len(OPTIONS)
        ]
        for number in range(300)
    }
    team.server.limit = RateLimit(200)
    began = team.clock.now

    outcome = team.set()

    assert outcome.ok
    assert len(outcome.set) == 300
    assert team.server.patches == dict.fromkeys(before, 1)
    for uuid, text in before.items():
        after = team.state.options(uuid)
        assert runtime_of(after) == "runsc"
        assert without_runtime(after) == without_runtime(text)
    # 904 requests: that they are spread over five minutes is the limit's doing.
    assert team.server.refused == 0
    assert len(team.server.seen) == 1 + 1 + 1 + 300 + 2 * 300 + 1
    assert 240 <= team.clock.now - began <= 260


def test_an_app_is_written_from_what_it_says_then(team: Team) -> None:
    a, b, c = team.apps(*"abc")
    found = team.look()
    team.state.applications[a]["custom_docker_run_options"] = "--cap-drop=ALL"
    team.state.applications[b]["custom_docker_run_options"] = "--init --runtime=runsc"
    team.state.remove_app(c)

    outcome = team.set(found)

    assert outcome == Outcome(set=("a",), unchanged=("b",))
    assert team.state.options(a) == "--cap-drop=ALL --runtime=runsc"
    assert team.server.patches == {a: 1}
    assert "app c (server run-1): deleted in the meantime" in team.lines


def test_what_somebody_writes_just_before_our_look_survives(team: Team) -> None:
    a, _, _ = team.apps(*"abc")
    found = team.look()
    texts = iter(["--cap-drop=ALL", "--init --cap-drop=ALL"])

    def edit(method: str, path: str) -> None:
        if method == "GET" and path.endswith(a):
            team.state.applications[a]["custom_docker_run_options"] = next(texts)

    team.server.before = edit

    assert team.set(found).ok
    assert team.state.options(a) == "--cap-drop=ALL --runtime=runsc"


def test_an_app_that_went_out_of_reach_is_not_written(team: Team) -> None:
    a, b, c = team.apps(*"abc")
    found = team.look()
    team.state.settings[a] |= {
        "is_consistent_container_name_enabled": True,
        "custom_internal_name": "x",
    }
    team.state.applications[b]["build_pack"] = "dockercompose"

    outcome = team.set(found)

    assert not outcome.ok
    assert outcome.set == ("c",)
    assert [label for label, _ in outcome.failed] == [
        "app a (server run-1)",
        "app b (server run-1)",
    ]
    assert team.server.patches == {c: 1}


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
