"""Thirty apps of Coolify are moved; none is away longer than if Coolify replaces it itself."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import pytest

from tests.coolify.host import DATA
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.coolify_fleet import APPS, FAILING, FleetApp, bring, replaced
from tests.node.dispatching import in_sandbox
from tests.node.equipped import equipped, free_port_80
from tests.node.moving_apps import IMAGE, Asked, begin_asking, end_asking
from tests.node.running import CURRENT, Fleet
from tests.node.test_move import DEPLOY, SANDBOX, where
from tools.lab import LabNode, NodeSpec

SPEC = NodeSpec(equipped("debian-13-docker-29"))
WATCH_S = 2
REPLACED = 2
"""So many of a kind are replaced by Coolify before, to compare."""

IMAGES = "docker ps --format '{{.Names}} {{.ID}}' | while read -r name id; do"
IMAGES += ' echo "$name $(docker inspect -f {{.Image}} $id)"; done'


@dataclass(frozen=True)
class Done:
    """
    A node whose apps were moved, and what was told.

    + theirs: what was seen while Coolify replaced some of them
    """

    node: LabNode
    apps: tuple[FleetApp, ...]
    images: str
    text: str
    theirs: dict[str, Asked]
    ours: dict[str, Asked]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Replace some, then move all, while somebody asks for every site."""
    with lab_of(f"{LAB}-move-c", {"run": SPEC}) as made:
        node = made["run"]
        free_port_80(node)
        bring(node)
        fleet = Fleet(made, tmp_path_factory.mktemp("move"))
        fleet.deploy("run", data=CURRENT)
        begin_asking(node, {app.uuid: app.place for app in APPS}, 0.3)
        apps = tuple(replaced(node, app, 2) if app.number < REPLACED else app for app in APPS)
        theirs = end_asking(node)
        fleet.deploy("run", data=SANDBOX)
        _have_what_nobody_released(node)
        images = sh(node, IMAGES)
        begin_asking(node, {app.uuid: app.place for app in apps}, 0.3)
        ran = [_moved(fleet, apps, kinds) for kinds in (("rolling", "plain"), ("mapped", "data"))]
        yield Done(node, apps, images, "".join(ran), theirs, end_asking(node))


def _moved(fleet: Fleet, apps: tuple[FleetApp, ...], kinds: tuple[str, ...]) -> str:
    """Move the apps of these kinds, and return what was told of it."""
    data = {
        **SANDBOX,
        "move_watch_s": WATCH_S,
        "move_max_failed": 9,
        "move_apps": [app.container for app in apps if app.kind in kinds],
    }
    return fleet.run("run", deploy=DEPLOY, data=data).text


def _have_what_nobody_released(node: LabNode) -> None:
    """A newer image has the tag, and a compose file has a change."""
    sh(node, f"docker commit -c 'LABEL newer=1' {APPS[2].container} {IMAGE}")
    path = f"{DATA}/applications/mapped-2/docker-compose.yaml"
    sh(node, f'sed -i \'s/"init": true/"init": false/\' {path}')


def test_what_works_is_in_gvisor_and_what_fails_was_left(done: Done) -> None:
    told = where(done.text)
    inside = {app.uuid for app in done.apps if in_sandbox(done.node, app.container)}

    assert inside == {app.uuid for app in APPS} - {*FAILING}, done.text
    places = {app.uuid: told[app.container][0] for app in done.apps if app.uuid in FAILING}
    assert places == {name: "left" if name.startswith("mapped") else "back" for name in FAILING}


def test_none_is_away_longer_than_if_coolify_replaces_it(done: Done) -> None:
    def away(seen: dict[str, Asked], kind: str, numbers: range) -> list[float]:
        return [seen[f"{kind}-{number}"].away_s for number in numbers]

    table = {
        kind: (away(done.theirs, kind, range(REPLACED)), away(done.ours, kind, range(5)))
        for kind in ("mapped", "plain", "rolling")
    }
    sys.stderr.write(f"{table}\n")
    assert all(done.ours[name].failed == 0 for name in done.ours if name.startswith("rolling"))
    assert all(done.ours[name].away_s == 0 for name in FAILING if name.startswith("mapped"))
    for theirs, ours in table.values():
        assert median(ours) <= 1.5 * max(theirs) + 0.2, table


def test_nothing_is_deployed_that_nobody_released(done: Done) -> None:
    assert sorted(sh(done.node, IMAGES).splitlines()) == sorted(done.images.splitlines())
    init = "docker inspect -f '{{.HostConfig.Init}}' mapped-2-000000000001"
    assert sh(done.node, init).strip() == "true"


def test_a_deployment_after_it_is_in_gvisor(done: Done) -> None:
    (app,) = (item for item in done.apps if item.uuid == "plain-4")

    new = replaced(done.node, app, 3)

    assert in_sandbox(done.node, new.container)
