"""Thirty apps of Coolify are moved; none is away longer than if Coolify replaces it itself."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import pytest

from tests.coolify.host import DATA
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.coolify_fleet import APPS, FAILING, OTHERS, FleetApp, bring, replaced
from tests.node.dispatching import in_sandbox
from tests.node.equipped import equipped, free_port_80
from tests.node.moving_apps import IMAGE, Asked, begin_asking, end_asking
from tests.node.running import Fleet
from tests.node.test_move import DEPLOY, SANDBOX, where
from tools.lab import LabNode, NodeSpec

SPEC = NodeSpec(equipped("debian-13-docker-29"))
WATCH_S = 2
IMAGES = "docker ps --format '{{.Names}} {{.ID}}' | while read -r name id; do"
IMAGES += ' echo "$name $(docker inspect -f {{.Image}} $id)"; done'


@dataclass(frozen=True)
class Done:
    """
    A node whose apps were moved, what was told of it and what was seen of each meanwhile.

    + inside: those that Coolify replaced run in gVisor, too
    """

    node: LabNode
    images: list[str]
    text: str
    asked: dict[str, Asked]
    inside: bool


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Replace some, then move all, while somebody asks for every site."""
    with lab_of(f"{LAB}-move-c", {"run": SPEC}) as made:
        node = made["run"]
        free_port_80(node)
        bring(node)
        fleet = Fleet(made, tmp_path_factory.mktemp("move"))
        fleet.deploy("run", data=SANDBOX)
        _have_what_nobody_released(node)
        images = _images(node)
        begin_asking(node, {app.uuid: app.place for app in (*APPS, *OTHERS)}, 0.3)
        others = [replaced(node, app, 2) for app in OTHERS]
        ran = [_moved(fleet, kinds) for kinds in (("rolling", "plain"), ("mapped", "data"))]
        inside = all(in_sandbox(node, app.container) for app in others)
        yield Done(node, images, "".join(ran), end_asking(node), inside)


def _moved(fleet: Fleet, kinds: tuple[str, ...]) -> str:
    """Move the apps of these kinds, and return what was told of it."""
    data = {
        **SANDBOX,
        "move_watch_s": WATCH_S,
        "move_max_failed": 9,
        "move_apps": [app.container for app in APPS if app.kind in kinds],
    }
    return fleet.run("run", deploy=DEPLOY, data=data).text


def _images(node: LabNode) -> list[str]:
    """Return the image of each app."""
    names = {app.container for app in APPS}
    return sorted(line for line in sh(node, IMAGES).splitlines() if line.split()[0] in names)


def _have_what_nobody_released(node: LabNode) -> None:
    """A newer image has the tag, and a compose file has a change."""
    sh(node, f"docker commit -c 'LABEL newer=1' {APPS[2].container} {IMAGE}")
    path = f"{DATA}/applications/mapped-2/docker-compose.yaml"
    sh(node, f'sed -i \'s/"init": true/"init": false/\' {path}')


def test_what_works_is_in_gvisor_and_what_fails_was_left_or_is_back(done: Done) -> None:
    told = where(done.text)
    inside = {app.uuid for app in APPS if in_sandbox(done.node, app.container)}

    assert done.inside
    assert inside == {app.uuid for app in APPS} - {*FAILING}, done.text
    assert {app.uuid: told[app.container][0] for app in APPS if app.uuid in FAILING} == {
        name: "left" if name.startswith("mapped") else "back" for name in FAILING
    }


def test_none_is_away_longer_than_if_coolify_replaces_it(done: Done) -> None:
    def away(kind: str, *apps: FleetApp) -> list[float]:
        moved = (app for app in apps if app.kind == kind and app.uuid not in FAILING)
        return [done.asked[app.uuid].away_s for app in moved]

    both = {kind: (away(kind, *OTHERS), away(kind, *APPS)) for kind in ("rolling", "mapped")}
    sys.stderr.write(f"{both}\n")
    assert not any(done.asked[app.uuid].failed for app in APPS if app.kind in ("rolling", "plain"))
    assert not any(done.asked[name].failed for name in FAILING)
    assert median(both["mapped"][1]) <= 1.5 * median(both["mapped"][0]), both


def test_nothing_is_deployed_that_nobody_released(done: Done) -> None:
    assert _images(done.node) == done.images
    init = "docker inspect -f '{{.HostConfig.Init}}' mapped-2-000000000001"
    assert sh(done.node, init).strip() == "true"


def test_a_deployment_after_it_is_in_gvisor(done: Done) -> None:
    (app,) = (item for item in APPS if item.uuid == "plain-4")

    new = replaced(done.node, app, 3)

    assert in_sandbox(done.node, new.container)
