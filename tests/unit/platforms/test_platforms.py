"""Platforms: the directories of their apps, and whose a container is."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.platforms.coolify import Coolify
from pyinfra_gvisor.platforms.coolify_apps import CoolifyApps, read_apps
from pyinfra_gvisor.platforms.every import identify
from tests.table import table
from tests.unit.coolify.coolify_team import CHANGED, Team, client, team_at_work


def test_coolifys_directories_are_what_a_seal_takes_and_not_all_of_coolify() -> None:
    binds = Coolify().binds

    assert Seal(binds=binds).binds == binds
    assert "/data/coolify" not in binds
    assert not any(path.startswith("/data/coolify/proxy") for path in binds)


@table(
    "labels, named",
    database_of_coolify=(
        {"coolify.managed": "true", "coolify.type": "database", "coolify.name": "shop-db"},
        "database shop-db of Coolify",
    ),
    sentinel=({"coolify.managed": "true"}, "None"),
    compose=(
        {"com.docker.compose.project": "edge", "com.docker.compose.service": "proxy"},
        "service edge/proxy of compose",
    ),
    app_that_compose_starts=(
        {"com.docker.compose.project": "p", "coolify.type": "application", "coolify.name": "a"},
        "application a of Coolify",
    ),
    no_labels=({}, "None"),
)
def test_a_container_says_which_app_it_belongs_to(labels: dict[str, str], named: str) -> None:
    assert str(identify(labels)) == named


@pytest.fixture
def team() -> Iterator[Team]:
    """Somebody with a stand-in Coolify and a clock."""
    with team_at_work() as found:
        yield found


def apps(team: Team) -> CoolifyApps:
    """The apps of the stand-in, as they are read now."""
    found = read_apps(client(team.server, team.clock), CHANGED)
    return replace(found, sleep=team.clock.sleep, clock=team.clock.time)


def test_coolifys_apps_say_what_they_ask_for_and_ask_for_what_is_declared(team: Team) -> None:
    team.apps("a")
    before = apps(team)

    outcome = before.ask(frozenset(), lambda _: None, team.lines.append)

    assert [item.state for item in before.declared] == ["to_set"]
    assert (outcome.set, outcome.redeployed) == (("a",), ("a",))
    assert [item.state for item in apps(team).declared] == ["enforced"]
