"""A project of Docker Compose has its names through all that Compose does."""

import re

import pytest

from tests.node.egress_nodes import at_once
from tests.node.names_compose import ComposeStory, Stage, expected, tell
from tests.node.names_nodes import Ground
from tests.node.names_story import RUN

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stories(names: Ground) -> dict[str, ComposeStory]:
    """The story of the project, by node."""
    for name in RUN:
        names.ready(name)
    return at_once(lambda name: tell(names, name), RUN)


@pytest.fixture(params=RUN)
def told(stories: dict[str, ComposeStory], request: pytest.FixtureRequest) -> ComposeStory:
    """That of one node."""
    return stories[request.param]


def test_every_service_has_those_of_its_networks_by_both_names_and_nobody_else(
    told: ComposeStory,
) -> None:
    assert told.up.came == expected(told.up.services)


def test_a_healthcheck_has_names(told: ComposeStory) -> None:
    assert [stage.services["db"].health for stage in told.stages] == ["healthy"] * 3


@pytest.mark.parametrize("stage", ["restarted", "anew"])
def test_a_service_that_was_moved_is_known_at_once_and_knows_the_others(
    told: ComposeStory, stage: str
) -> None:
    now: Stage = getattr(told, stage)

    assert set(now.named.values()) == {now.address}
    assert now.came == expected(now.services)


def test_it_was_moved(told: ComposeStory) -> None:
    assert len({stage.address for stage in told.stages}) == 3


def test_its_published_port_is_reached_from_outside(told: ComposeStory) -> None:
    assert [stage.published for stage in told.stages] == ["web"] * 3


def test_when_it_is_down_nothing_is_left_of_it(told: ComposeStory) -> None:
    assert told.left == ""
    assert told.after == told.before, told.sockets


def test_no_runtime_said_of_its_containers_that_their_names_may_not_resolve(
    told: ComposeStory,
) -> None:
    assert re.findall("^[0-9a-f]{64}: .*", told.said, re.MULTILINE) == []
