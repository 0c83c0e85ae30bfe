"""What is on a server, the verdict on it, with how few requests, and what people read of it."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.apps import Choice, Survey, plan_lines
from pyinfra_gvisor.coolify.models import Application, Database, Resource, Server
from pyinfra_gvisor.coolify.resources import (
    BUILDS,
    FIELD,
    PREVIEWS,
    STOPPED,
    UNREAD,
    Subject,
    Verdict,
    judge,
    quoted,
)
from pyinfra_gvisor.coolify.settings import AppExemption
from tests.coolify.api_server import Kind
from tests.table import table
from tests.unit.coolify.coolify_team import NEVER, Team, team_at_work

RUN = Server(uuid="s1", name="run-1", ip="192.0.2.10")
OTHER = Server(uuid="s2", name="spare", ip="192.0.2.11")
SWARM = Server(uuid="s3", name="swarm", settings={"is_swarm_manager": True})


def verdict(
    kind: str = "application", servers: tuple[Server, ...] = (RUN,), *others: Server, **known: Any
) -> Verdict:
    """The verdict on a resource on servers, of which so much is known."""
    resource = Resource(id=1, uuid="u1", name="shop", type=kind)
    return judge(Subject(resource, servers, others), "runsc", **known)


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


def of_app(options: str | None = None, *others: Server, **changes: Any) -> Verdict:
    """The verdict on an app, which is on other servers too."""
    return verdict("application", (RUN,), *others, application=app(options, **changes))


def named(is_consistent: bool, name: str | None, options: str | None = None) -> Verdict:
    """The verdict on an app with these two settings of its container's name."""
    settings = {"is_consistent_container_name_enabled": is_consistent, "custom_internal_name": name}
    return of_app(options, settings=settings)


def of_database(options: str) -> Verdict:
    """The verdict on a database with these options."""
    known = Database(uuid="u1", name="pg", custom_docker_run_options=options)
    return verdict("standalone-postgresql", database=known)


SET = "--runtime=runsc"
TO_SET = ("to_set", "must ask for runsc")
ENFORCED = ("enforced", "asks for runsc")
NAMED = ("by_hand", 'clear its "Custom container name"*')
IN_SWARM = ("impossible", "swarm is in a swarm*")
INTO = f"its {FIELD}"
AT_ITS_END = f'write "{SET}" at the end of {INTO}'
EACH_SERVICE = 'write "runtime: runsc" into each service of'


@table(
    "found, expected",
    unset=(of_app(), TO_SET),
    named=(named(True, "shop"), NAMED),
    named_and_set=(named(True, "shop", SET), NAMED),
    only_consistent=(named(True, ""), TO_SET),
    only_consistent_null=(named(True, None), TO_SET),
    a_name_that_is_none_to_php=(named(True, "0"), TO_SET),
    only_a_name=(named(False, "shop"), TO_SET),
    compose=(
        of_app(SET, build_pack="dockercompose"),
        ("by_hand", f"{EACH_SERVICE} the compose file*"),
    ),
    service=(verdict("service"), ("by_hand", f"{EACH_SERVICE} its compose file*")),
    database_set=(of_database(SET), ENFORCED),
    database=(
        of_database("--init"),
        ("by_hand", f'write "--init {SET}" into {INTO}: the API cannot set it'),
    ),
    database_not_understood=(of_database("--env=$X"), ("by_hand", AT_ITS_END)),
    database_not_shown=(
        verdict("standalone-redis"),
        ("by_hand", f"{AT_ITS_END}; the API does not show this field"),
    ),
    in_a_swarm=(verdict("application", (RUN, SWARM), application=app()), IN_SWARM),
    service_in_a_swarm=(verdict("service", (SWARM,)), IN_SWARM),
    exempt=(verdict("other", (SWARM,), reason="moves"), ("exempt", "moves")),
    not_shown=(verdict(), ("impossible", "*it belongs to another team*")),
    elsewhere_too=(
        of_app("--init", OTHER),
        ("by_hand", f'it also runs on spare*write "--init {SET}" into {INTO}*'),
    ),
    set_and_elsewhere_too=(of_app(SET, OTHER), ENFORCED),
    refused=(
        of_app("--env=$HOME"),
        ("by_hand", "Coolify refuses options that contain '$', got --env=$HOME; *"),
    ),
    refused_but_set=(of_app(f"--env=$HOME {SET}"), ENFORCED),
)
def test_a_verdict_says_what_is_or_what_to_do(found: Verdict, expected: tuple[str, str]) -> None:
    state, text = expected

    assert found.state == state
    assert fnmatchcase(found.text, text), found.text


@table(
    "changes, gaps, unread",
    none=({}, (), (UNREAD,)),
    previews=({"settings": {"is_preview_deployments_enabled": True}}, (PREVIEWS,), (UNREAD,)),
    builds=({"build_pack": "dockerfile"}, (BUILDS,), (BUILDS, UNREAD)),
    stopped=({"status": "exited:unhealthy"}, (STOPPED,), (STOPPED, UNREAD)),
    compose=({"build_pack": "dockercompose"}, (BUILDS,), (BUILDS,)),
)
def test_what_stays_outside_is_told_beside(
    changes: dict[str, Any], gaps: tuple[str, ...], unread: tuple[str, ...]
) -> None:
    known = app(**changes)

    assert verdict(application=known).gaps == gaps
    assert verdict(application=known.model_copy(update={"settings": None})).gaps == unread


@table(
    "text, shown",
    null=(None, "none"),
    empty=("", "none"),
    plain=("--init", '"--init"'),
    double_quotes=('--a="b"', "'--a=\"b\"'"),
    both=("--a='b' --c=\"d\"", "`--a='b' --c=\"d\"`"),
    escape=("--a\x1b[2J", '"--a?[2J"'),
    tab=("--a\t--b", '"--a\t--b"'),
)
def test_options_are_shown_as_they_are_to_be_written(text: str | None, shown: str) -> None:
    assert quoted(text) == shown


@pytest.fixture
def team() -> Iterator[Team]:
    """Somebody whose Coolify has a server run-1."""
    with team_at_work() as found:
        yield found


def states(found: Survey) -> dict[str, str]:
    """Verdicts by name."""
    return {item.name: item.state for item in found.verdicts}


def test_every_resource_of_the_chosen_servers_gets_its_verdict(team: Team) -> None:
    swarm = team.state.add_server("swarm", is_swarm_manager=True)
    spare = team.state.add_server("spare")
    team.state.add_app("unset", team.run)
    team.state.add_app(
        "named", team.run, is_consistent_container_name_enabled=True, custom_internal_name="x"
    )
    team.state.add_app("legacy", team.run)
    team.state.add_app("swarmed", swarm)
    team.state.add_app("elsewhere", spare)
    team.state.add_service("wiki", team.run)
    team.state.on[spare].append(team.state.add_app("both", team.run))
    del team.state.applications[team.state.add_app("of-another-team", team.run)]
    exempt = AppExemption(app="leg*", reason="moves next week")

    found = team.look(Choice("runsc", ("run-*", "swarm"), exempt=(exempt,)))

    assert states(found) == {
        "unset": "to_set",
        "named": "by_hand",
        "legacy": "exempt",
        "swarmed": "impossible",
        "wiki": "by_hand",
        "both": "by_hand",
        "of-another-team": "impossible",
    }
    assert [item.name for item in found.to_set] == ["unset"]


def test_it_takes_no_request_more_than_it_needs(team: Team) -> None:
    other = team.state.add_server("run-2")
    a, b = team.state.add_app("a", team.run), team.state.add_app("b", team.run, "--runtime=runsc")
    team.state.add_app("compose", team.run, build_pack="dockercompose")
    team.state.add_app("bad", team.run, "--env=$X")
    team.state.add_app("elsewhere", other)
    team.state.add_database("pg", team.run)

    team.look(Choice("runsc", ("run-1",)))

    assert team.server.asked() == [
        *("GET /servers", *(f"GET /servers/{run}/resources" for run in (team.run, other))),
        *("GET /applications", "GET /databases", *(f"GET /applications/{app}" for app in (a, b))),
    ]


def test_where_no_server_is_chosen_nothing_is_asked_and_a_pattern_of_none_is_told(
    team: Team,
) -> None:
    choice = Choice("runsc", ())
    seen, asked = team.look(choice), [*team.server.seen]
    team.state.add_server("run-2")

    with pytest.raises(Problem) as refused:
        team.look(Choice("runsc", ("run-1", "prod-*")))

    assert asked == []
    assert plan_lines(seen, choice) == ["gvisor_coolify_servers is empty: no app is checked or set"]
    assert "matches no server, got prod-*; " in str(refused.value)
    assert str(refused.value).endswith("Coolify shows the token run-1, run-2")


@table("pattern", name="run-1", uuid="srv0x*", address="192.0.2.1?")
def test_a_server_is_chosen_by_any_of_its_names(team: Team, pattern: str) -> None:
    team.state.add_server("run-2", "198.51.100.7")

    assert [each.name for each in team.look(Choice("runsc", (pattern,))).servers] == ["run-1"]


@pytest.mark.parametrize("kind", ["500", "redirect"])
def test_an_app_on_several_servers_gets_one_verdict_also_where_databases_are_not_told(
    team: Team, kind: Kind
) -> None:
    two = team.state.add_server("run-2")
    shop = team.state.add_app("shop", team.run)
    team.state.on[team.run].append(shop)
    team.state.on[two].append(shop)
    (found,) = team.look().verdicts
    team.state.add_database("pg", team.run, "--runtime=runsc")
    team.server.arm("GET /databases", kind, times=3)

    assert (found.label, found.state) == ("app shop (server run-1, run-2)", "to_set")
    assert states(team.look()) == {"shop": "to_set", "pg": "by_hand"}


def test_the_plan_says_app_by_app_what_changes(team: Team) -> None:
    team.state.add_app("shop", team.run, "--cap-drop=ALL", is_preview_deployments_enabled=True)
    team.state.add_app("blog", team.run, build_pack="dockerimage", status="exited:unhealthy")
    team.state.add_app("set", team.run, "--runtime=runsc", build_pack="dockerimage")
    team.state.add_database("pg", team.run, "--init")
    choice = Choice("runsc", ("*",), redeploy="changed")

    lines = plan_lines(team.look(choice), choice)

    head = "custom_docker_run_options"
    assert lines[:2] == [
        f'app shop (server run-1): {head} "--cap-drop=ALL" -> "--cap-drop=ALL --runtime=runsc"',
        f'app blog (server run-1): {head} none -> "--runtime=runsc"',
    ]
    do = 'write "--init --runtime=runsc" into its Custom Docker options'
    assert lines[2:4] == [f"by hand: database pg (server run-1): {do}:", "  the API cannot set it"]
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


def test_a_text_to_write_is_never_broken(team: Team) -> None:
    long = " ".join(f"--label  a{number}=b" for number in range(20))
    team.state.add_app("shop", team.run, long)
    team.state.add_database("pg", team.run, long)

    lines = plan_lines(team.look(), NEVER)

    assert lines[:3] == [
        "app shop (server run-1): custom_docker_run_options",
        f'     "{long}"',
        f'  -> "{long} --runtime=runsc"',
    ]
    assert any(f'"{long} --runtime=runsc"' in line for line in lines[3:])


def test_a_gap_that_many_apps_have_is_one_line(team: Team) -> None:
    for number in range(30):
        team.state.add_app(f"app-{number}", team.run)

    lines = plan_lines(team.look(), NEVER)

    assert (
        "gap: builds run directly on the host kernel: app-0, app-1, app-2, app-3, app-4 and 25 more"
        in lines
    )
