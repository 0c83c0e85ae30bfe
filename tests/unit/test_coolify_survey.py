"""What is on the chosen servers, with how few requests, and the plan that is read of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.apps import Choice, Survey, plan_lines, survey
from pyinfra_gvisor.coolify.settings import AppExemption
from tests.coolify.api_client import Clock, client, serving
from tests.coolify.api_server import ApiServer
from tests.coolify.api_state import CoolifyState

ALL = Choice("runsc", ("*",))


@pytest.fixture
def coolify() -> Iterator[tuple[ApiServer, Clock]]:
    with serving() as found:
        yield found


@pytest.fixture
def state(coolify: tuple[ApiServer, Clock]) -> CoolifyState:
    return coolify[0].state


def looked(coolify: tuple[ApiServer, Clock], choice: Choice = ALL) -> Survey:
    """What a survey finds."""
    return survey(client(*coolify), choice)


def states(found: Survey) -> dict[str, str]:
    """Verdicts by name."""
    return {item.name: item.state for item in found.verdicts}


def test_every_resource_of_the_chosen_servers_gets_its_verdict(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    run, swarm = state.add_server("run-1"), state.add_server("swarm", is_swarm_manager=True)
    spare = state.add_server("spare")
    state.add_app("set", run, "--runtime=runsc")
    state.add_app("unset", run)
    state.add_app("named", run, is_consistent_container_name_enabled=True, custom_internal_name="x")
    state.add_app("compose", run, build_pack="dockercompose")
    state.add_app("legacy", run)
    state.add_app("swarmed", swarm)
    state.add_app("elsewhere", spare)
    state.add_database("pg", run)
    state.add_service("wiki", run)
    state.on[spare].append(state.add_app("both", run))
    exempt = AppExemption(app="leg*", reason="moves next week")

    found = looked(coolify, Choice("runsc", ("run-*", "swarm"), exempt=(exempt,)))

    assert states(found) == {
        "set": "enforced",
        "unset": "to_set",
        "named": "by_hand",
        "compose": "by_hand",
        "legacy": "exempt",
        "swarmed": "impossible",
        "pg": "by_hand",
        "wiki": "by_hand",
        "both": "by_hand",
    }
    assert [item.name for item in found.to_set] == ["unset"]


def test_it_takes_no_request_more_than_it_needs(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    run, other = state.add_server("run-1"), state.add_server("run-2")
    a, b = state.add_app("a", run), state.add_app("b", run, "--runtime=runsc")
    state.add_app("compose", run, build_pack="dockercompose")
    state.add_app("bad", run, "--env=$X")
    state.add_app("elsewhere", other)
    state.add_database("pg", run)

    looked(coolify, Choice("runsc", ("run-1",)))

    assert coolify[0].asked() == [
        "GET /servers",
        f"GET /servers/{run}/resources",
        f"GET /servers/{other}/resources",
        "GET /applications",
        "GET /databases",
        f"GET /applications/{a}",
        f"GET /applications/{b}",
    ]


def test_where_no_server_is_chosen_nothing_is_asked(coolify: tuple[ApiServer, Clock]) -> None:
    choice = Choice("runsc", ())

    found = looked(coolify, choice)

    assert coolify[0].seen == []
    assert plan_lines(found, choice) == [
        "gvisor_coolify_servers is empty: no app is checked or set"
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("run-1", id="name"),
        pytest.param("srv0x*", id="uuid"),
        pytest.param("192.0.2.1?", id="address"),
    ],
)
def test_a_server_is_chosen_by_any_of_its_names(
    coolify: tuple[ApiServer, Clock], state: CoolifyState, pattern: str
) -> None:
    state.add_server("run-1", "192.0.2.10")
    state.add_server("run-2", "198.51.100.7")

    found = looked(coolify, Choice("runsc", (pattern,)))

    assert [each.name for each in found.servers] == ["run-1"]


def test_a_pattern_that_names_no_server_is_told_with_those_there_are(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    state.add_server("run-1")
    state.add_server("run-2")

    with pytest.raises(Problem) as refused:
        looked(coolify, Choice("runsc", ("run-1", "prod-*")))

    assert "matches no server, got prod-*; " in str(refused.value)
    assert str(refused.value).endswith("Coolify shows the token run-1, run-2")


def test_an_app_on_several_servers_gets_one_verdict(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    one, two = state.add_server("run-1"), state.add_server("run-2")
    shop = state.add_app("shop", one)
    state.on[one].append(shop)
    state.on[two].append(shop)

    (found,) = looked(coolify).verdicts

    assert (found.label, found.state) == ("app shop (server run-1, run-2)", "to_set")


def test_an_app_of_another_team_is_not_passed_over(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    theirs = state.add_app("theirs", state.add_server("run-1"))
    del state.applications[theirs]

    assert states(looked(coolify)) == {"theirs": "impossible"}


@pytest.mark.parametrize("kind", ["500", "html", "redirect"])
def test_databases_that_are_not_told_keep_no_app_from_being_looked_at(
    coolify: tuple[ApiServer, Clock], state: CoolifyState, kind: str
) -> None:
    run = state.add_server("run-1")
    state.add_app("shop", run)
    state.add_database("pg", run, "--runtime=runsc")
    coolify[0].arm("GET /databases", kind, times=3)  # type: ignore[arg-type]

    assert states(looked(coolify)) == {"shop": "to_set", "pg": "by_hand"}


def test_the_plan_says_app_by_app_what_changes(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    run = state.add_server("run-1")
    state.add_app("shop", run, "--cap-drop=ALL", is_preview_deployments_enabled=True)
    state.add_app("blog", run, build_pack="dockerimage", status="exited:unhealthy")
    state.add_app("set", run, "--runtime=runsc", build_pack="dockerimage")
    state.add_database("pg", run, "--init")
    choice = Choice("runsc", ("*",), redeploy="changed")

    lines = plan_lines(looked(coolify, choice), choice)

    head = "custom_docker_run_options"
    assert lines[:2] == [
        f'app shop (server run-1): {head} "--cap-drop=ALL" -> "--cap-drop=ALL --runtime=runsc"',
        f'app blog (server run-1): {head} none -> "--runtime=runsc"',
    ]
    write = 'write "--init --runtime=runsc" into its Custom Docker options'
    assert lines[2:4] == [
        f"by hand: database pg (server run-1): {write}:",
        "  the API cannot set it",
    ]
    assert lines[4:7] == [
        "gap: pull request previews run without the options: shop",
        "gap: builds run directly on the host kernel: shop",
        "gap: stopped: the options take effect at the next start: blog",
    ]
    numbers = "2 to set, 1 already set, 1 by hand, 0 impossible, 0 exempt"
    assert lines[7:] == [
        f"--runtime=runsc on 1 server: {numbers}; running",
        "  apps that get set are restarted",
    ]


def test_a_text_to_write_is_never_broken(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    run = state.add_server("run-1")
    long = " ".join(f"--label  a{number}=b" for number in range(20))
    state.add_app("shop", run, long)
    state.add_database("pg", run, long)

    lines = plan_lines(looked(coolify), ALL)

    assert lines[:3] == [
        "app shop (server run-1): custom_docker_run_options",
        f'     "{long}"',
        f'  -> "{long} --runtime=runsc"',
    ]
    assert any(f'"{long} --runtime=runsc"' in line for line in lines[3:])


def test_a_gap_that_many_apps_have_is_one_line(
    coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    run = state.add_server("run-1")
    for number in range(30):
        state.add_app(f"app-{number}", run)

    lines = plan_lines(looked(coolify), ALL)

    assert (
        "gap: builds run directly on the host kernel: app-0, app-1, app-2, app-3, app-4 and 25 more"
        in lines
    )
