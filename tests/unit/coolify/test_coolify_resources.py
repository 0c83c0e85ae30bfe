"""What is on a server, the verdict on it, with how few requests, and what people read of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.apps import Choice, Survey, plan_lines, survey
from pyinfra_gvisor.coolify.models import Application, Database, Resource, Server
from pyinfra_gvisor.coolify.resources import (
    BUILDS,
    PREVIEWS,
    STOPPED,
    UNREAD,
    Subject,
    Verdict,
    judge,
    quoted,
)
from pyinfra_gvisor.coolify.settings import AppExemption
from tests.coolify.api_client import Clock, client, serving
from tests.coolify.api_server import ApiServer, Kind
from tests.coolify.api_state import CoolifyState

RUN = Server(uuid="s1", name="run-1", ip="192.0.2.10")
OTHER = Server(uuid="s2", name="spare", ip="192.0.2.11")
SWARM = Server.model_validate(
    {"uuid": "s3", "name": "swarm", "settings": {"is_swarm_manager": True}}
)


def subject(kind: str = "application", *, servers: tuple[Server, ...] = (RUN,)) -> Subject:
    """A resource on servers."""
    return Subject(Resource(id=1, uuid="u1", name="shop", type=kind), servers)


def app(options: str | None = None, **changes: Any) -> Application:
    """What the API says of an app."""
    settings = {"is_preview_deployments_enabled": False, **changes.pop("settings", {})}
    return Application.model_validate(
        {
            "uuid": "u1",
            "name": "shop",
            "build_pack": "dockerimage",
            "status": "running:healthy",
            "custom_docker_run_options": options,
            "settings": settings,
            **changes,
        }
    )


def of_app(application: Application | None, **options: Any) -> Verdict:
    """The verdict on an app."""
    return judge(options.pop("found", subject()), "runsc", application=application, **options)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, "--runtime=runsc", id="none"),
        pytest.param("--runtime=runc --runtime=runsc", "--runtime=runsc", id="two"),
    ],
)
def test_an_app_without_it_is_to_be_set(before: str | None, after: str) -> None:
    found = of_app(app(before))

    assert (found.state, found.before, found.after) == ("to_set", before, after)
    assert (found.kind, found.label) == ("app", "app shop (server run-1)")


@pytest.mark.parametrize(
    ("is_consistent", "name", "state"),
    [
        pytest.param(True, "shop", "by_hand", id="both"),
        pytest.param(True, "", "to_set", id="only-consistent"),
        pytest.param(True, None, "to_set", id="only-consistent-null"),
        pytest.param(True, "0", "to_set", id="a-name-that-is-none-to-php"),
        pytest.param(False, "shop", "to_set", id="only-a-name"),
    ],
)
@pytest.mark.parametrize("options", [None, "--runtime=runsc"], ids=["unset", "set"])
def test_options_reach_an_app_but_for_one_with_a_custom_name(
    is_consistent: bool, name: str | None, state: str, options: str | None
) -> None:
    settings = {"is_consistent_container_name_enabled": is_consistent, "custom_internal_name": name}

    found = of_app(app(options, settings=settings))

    assert found.state == ("enforced" if options and state == "to_set" else state)
    assert ("Custom container name" in found.text) == (state == "by_hand")


def test_a_compose_app_and_a_service_are_set_in_their_compose_files() -> None:
    compose = of_app(app("--runtime=runsc", build_pack="dockercompose"))
    service = judge(subject("service"), "runsc")

    assert compose.state == service.state == "by_hand"
    assert compose.text.startswith('write "runtime: runsc" into each service of the compose file')
    assert service.text.startswith('write "runtime: runsc" into each service of its compose file')


@pytest.mark.parametrize(
    ("options", "state", "text"),
    [
        pytest.param("--runtime=runsc", "enforced", "asks for runsc", id="set"),
        pytest.param(
            "--cap-drop=ALL",
            "by_hand",
            'write "--cap-drop=ALL --runtime=runsc" into its Custom Docker options: '
            "the API cannot set it",
            id="another-option",
        ),
        pytest.param(
            "--env=$X",
            "by_hand",
            'write "--runtime=runsc" at the end of its Custom Docker options',
            id="not-understood",
        ),
    ],
)
def test_a_database_is_set_by_hand(options: str, state: str, text: str) -> None:
    database = Database(uuid="u1", name="pg", custom_docker_run_options=options)

    found = judge(subject("standalone-postgresql"), "runsc", database=database)

    assert (found.kind, found.state, found.text) == ("database", state, text)


def test_a_database_that_is_not_shown_is_set_by_hand_too() -> None:
    found = judge(subject("standalone-redis"), "runsc")

    assert found.state == "by_hand"
    assert found.text.endswith("; the API does not show this field")


@pytest.mark.parametrize("kind", ["application", "standalone-mysql", "service"])
def test_nothing_in_a_swarm_can_have_it(kind: str) -> None:
    found = judge(subject(kind, servers=(RUN, SWARM)), "runsc", application=app())

    assert found.state == "impossible"
    assert found.text.startswith("swarm is in a swarm")


@pytest.mark.parametrize("kind", ["application", "standalone-mysql", "service", "other"])
def test_what_is_exempt_is_so_for_the_operators_reason(kind: str) -> None:
    found = judge(subject(kind, servers=(SWARM,)), "runsc", reason="moves next week")

    assert (found.state, found.text) == ("exempt", "moves next week")


def test_an_app_that_the_api_does_not_show_cannot_be_set() -> None:
    found = of_app(None)

    assert (found.state, found.name) == ("impossible", "shop")
    assert "belongs to another team" in found.text


def test_an_app_that_is_on_a_server_without_the_runtime_too_is_not_set() -> None:
    both = Subject(subject().resource, (RUN,), (OTHER,))

    unset = of_app(app("--init"), found=both)
    done = of_app(app("--runtime=runsc"), found=both)

    assert unset.state == "by_hand"
    assert "it also runs on spare" in unset.text
    assert 'write "--init --runtime=runsc" into' in unset.text
    assert done.state == "enforced"


def test_a_text_that_cannot_be_written_is_told_with_the_reason() -> None:
    found = of_app(app("--env=$HOME"))

    assert found.state == "by_hand"
    assert found.text.startswith("Coolify refuses options that contain '$', got --env=$HOME; ")
    assert of_app(app("--env=$HOME --runtime=runsc")).state == "enforced"


@pytest.mark.parametrize(
    ("changes", "gaps"),
    [
        pytest.param({}, (), id="none"),
        pytest.param(
            {"settings": {"is_preview_deployments_enabled": True}}, (PREVIEWS,), id="previews"
        ),
        pytest.param({"build_pack": "nixpacks"}, (BUILDS,), id="builds"),
        pytest.param({"build_pack": "dockerfile"}, (BUILDS,), id="builds-a-dockerfile"),
        pytest.param({"status": "exited:unhealthy"}, (STOPPED,), id="stopped"),
    ],
)
def test_what_stays_outside_is_told_beside(changes: dict[str, Any], gaps: tuple[str, ...]) -> None:
    assert of_app(app(**changes)).gaps == gaps


def test_an_app_whose_settings_are_not_shown_may_have_gaps() -> None:
    unread = {"settings": None}

    assert of_app(app().model_copy(update=unread)).gaps == (UNREAD,)
    assert of_app(app(build_pack="dockercompose").model_copy(update=unread)).gaps == (BUILDS,)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(None, "none", id="null"),
        pytest.param("", "none", id="empty"),
        pytest.param("--init", '"--init"', id="plain"),
        pytest.param('--a="b"', "'--a=\"b\"'", id="double-quotes"),
        pytest.param("--a='b' --c=\"d\"", "`--a='b' --c=\"d\"`", id="both"),
        pytest.param("--a\x1b[2J", '"--a?[2J"', id="escape"),
        pytest.param("--a\t--b", '"--a\t--b"', id="tab"),
    ],
)
def test_options_are_shown_as_they_are_to_be_written(text: str | None, shown: str) -> None:
    assert quoted(text) == shown


ALL = Choice("runsc", ("*",))
Look = Callable[..., Survey]


@pytest.fixture
def coolify() -> Iterator[tuple[ApiServer, Clock]]:
    with serving() as found:
        yield found


@pytest.fixture
def state(coolify: tuple[ApiServer, Clock]) -> CoolifyState:
    return coolify[0].state


@pytest.fixture
def looked(coolify: tuple[ApiServer, Clock]) -> Callable[..., Survey]:
    """What a survey of all servers, or of a choice, finds."""
    return lambda choice=ALL: survey(client(*coolify), choice)


def states(found: Survey) -> dict[str, str]:
    """Verdicts by name."""
    return {item.name: item.state for item in found.verdicts}


def test_every_resource_of_the_chosen_servers_gets_its_verdict(
    looked: Look, state: CoolifyState
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

    found = looked(Choice("runsc", ("run-*", "swarm"), exempt=(exempt,)))

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
    looked: Look, coolify: tuple[ApiServer, Clock], state: CoolifyState
) -> None:
    run, other = state.add_server("run-1"), state.add_server("run-2")
    a, b = state.add_app("a", run), state.add_app("b", run, "--runtime=runsc")
    state.add_app("compose", run, build_pack="dockercompose")
    state.add_app("bad", run, "--env=$X")
    state.add_app("elsewhere", other)
    state.add_database("pg", run)

    looked(Choice("runsc", ("run-1",)))

    assert coolify[0].asked() == [
        "GET /servers",
        f"GET /servers/{run}/resources",
        f"GET /servers/{other}/resources",
        "GET /applications",
        "GET /databases",
        f"GET /applications/{a}",
        f"GET /applications/{b}",
    ]


def test_where_no_server_is_chosen_nothing_is_asked(
    looked: Look, coolify: tuple[ApiServer, Clock]
) -> None:
    choice = Choice("runsc", ())

    found = looked(choice)

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
    looked: Look, state: CoolifyState, pattern: str
) -> None:
    state.add_server("run-1", "192.0.2.10")
    state.add_server("run-2", "198.51.100.7")

    found = looked(Choice("runsc", (pattern,)))

    assert [each.name for each in found.servers] == ["run-1"]


def test_a_pattern_that_names_no_server_is_told_with_those_there_are(
    looked: Look, state: CoolifyState
) -> None:
    state.add_server("run-1")
    state.add_server("run-2")

    with pytest.raises(Problem) as refused:
        looked(Choice("runsc", ("run-1", "prod-*")))

    assert "matches no server, got prod-*; " in str(refused.value)
    assert str(refused.value).endswith("Coolify shows the token run-1, run-2")


def test_an_app_on_several_servers_gets_one_verdict(looked: Look, state: CoolifyState) -> None:
    one, two = state.add_server("run-1"), state.add_server("run-2")
    shop = state.add_app("shop", one)
    state.on[one].append(shop)
    state.on[two].append(shop)

    (found,) = looked().verdicts

    assert (found.label, found.state) == ("app shop (server run-1, run-2)", "to_set")


def test_an_app_of_another_team_is_not_passed_over(looked: Look, state: CoolifyState) -> None:
    theirs = state.add_app("theirs", state.add_server("run-1"))
    del state.applications[theirs]

    assert states(looked()) == {"theirs": "impossible"}


@pytest.mark.parametrize("kind", ["500", "redirect"])
def test_databases_that_are_not_told_keep_no_app_from_being_looked_at(
    looked: Look, coolify: tuple[ApiServer, Clock], kind: Kind
) -> None:
    state = coolify[0].state
    run = state.add_server("run-1")
    state.add_app("shop", run)
    state.add_database("pg", run, "--runtime=runsc")
    coolify[0].arm("GET /databases", kind, times=3)

    assert states(looked()) == {"shop": "to_set", "pg": "by_hand"}


def test_the_plan_says_app_by_app_what_changes(looked: Look, state: CoolifyState) -> None:
    run = state.add_server("run-1")
    state.add_app("shop", run, "--cap-drop=ALL", is_preview_deployments_enabled=True)
    state.add_app("blog", run, build_pack="dockerimage", status="exited:unhealthy")
    state.add_app("set", run, "--runtime=runsc", build_pack="dockerimage")
    state.add_database("pg", run, "--init")
    choice = Choice("runsc", ("*",), redeploy="changed")

    lines = plan_lines(looked(choice), choice)

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


def test_a_text_to_write_is_never_broken(looked: Look, state: CoolifyState) -> None:
    run = state.add_server("run-1")
    long = " ".join(f"--label  a{number}=b" for number in range(20))
    state.add_app("shop", run, long)
    state.add_database("pg", run, long)

    lines = plan_lines(looked(), ALL)

    assert lines[:3] == [
        "app shop (server run-1): custom_docker_run_options",
        f'     "{long}"',
        f'  -> "{long} --runtime=runsc"',
    ]
    assert any(f'"{long} --runtime=runsc"' in line for line in lines[3:])


def test_a_gap_that_many_apps_have_is_one_line(looked: Look, state: CoolifyState) -> None:
    run = state.add_server("run-1")
    for number in range(30):
        state.add_app(f"app-{number}", run)

    lines = plan_lines(looked(), ALL)

    assert (
        "gap: builds run directly on the host kernel: app-0, app-1, app-2, app-3, app-4 and 25 more"
        in lines
    )
