"""Containers are moved into gVisor while people use them; what fails there runs on as before."""

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import Any

import pytest

from pyinfra_gvisor.moves.script import RECORD
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.dispatching import in_sandbox
from tests.node.equipped import equipped, free_port_80
from tests.node.moving_apps import (
    BAD,
    EVERY,
    GAPLESS,
    MOVES,
    SECRET,
    SHARING,
    Asked,
    begin_asking,
    bring,
    end_asking,
    kept,
)
from tests.node.running import CURRENT, Fleet, Outcome
from tests.node.seeing import snapshot
from tools.lab import LabNode, NodeSpec

SPECS = {
    "docker-26": NodeSpec(equipped("debian-13")),
    "docker-29": NodeSpec(equipped("debian-13-docker-29")),
}
DEPLOY = "deploys/move.py"
SANDBOX = {**CURRENT, "gvisor_default": "sandbox", "gvisor_seal": {}}
SECONDS, KILLS = 2, 5
KILLED = ("shop-db-1", "queue-redis-1", "misc-anon-1", "blog-cron-1")
TOLD = re.compile(r"(moved|back|left|next) +(\S+): ([^\n]*)")
NAMES = "docker ps -a --format '{{.Names}}'"
# What Docker tells of a container, without what differs in a new one: options of logs are those
# that daemon.json declares.
_INSPECT = """
docker inspect "$1" | jq -S 'def own: test("^[0-9a-f]{12}$");
    .[0] | {Config, HostConfig, Mounts: (.Mounts | sort_by(.Destination)),
        names: [.NetworkSettings.Networks[] | .Aliases // [] | map(select(own | not))]}
    | if .Config.Hostname | own then del(.Config.Hostname) else . end
    | .HostConfig |= del(.Runtime, .Binds, .Mounts, .MaskedPaths, .ReadonlyPaths, .PortBindings,
        .LogConfig)'
"""


@dataclass
class Begun:
    """
    What was before, and what was seen after each kill.

    + names: of all containers
    + last: a move that nobody kills
    """

    inspected: dict[str, str]
    kept: dict[str, Any]
    seed: int
    names: list[list[str]] = field(default_factory=list)
    last: Outcome = field(default_factory=lambda: Outcome(1, "", ""))


@dataclass
class Done:
    """
    A node on which everything was moved that can be, and what was seen meanwhile.

    + failing: a move of the one whose trial fails
    """

    node: LabNode
    plan: Outcome
    plan_changed: bool
    ran: Outcome
    failing: Outcome
    after: dict[str, Any]
    asked: dict[str, Asked]

    @property
    def told(self) -> dict[str, tuple[str, str]]:
        return where(self.ran.text)


def where(text: str) -> dict[str, tuple[str, str]]:
    """By container what a move told of it last."""
    return {name: (place, why) for place, name, why in TOLD.findall(text)}


@pytest.fixture(scope="module", params=SPECS)
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """A node whose apps run under runc, and whose default is gVisor since then."""
    name = request.param
    with lab_of(f"{LAB}-move-{name[-2:]}", {name: SPECS[name]}) as made:
        free_port_80(made[name])
        bring(made[name])
        found = Fleet(made, tmp_path_factory.mktemp("move"))
        found.deploy(name, data=SANDBOX)
        yield found


def move(fleet: Fleet, *flags: str, **given: Any) -> Outcome:
    """Run the deploy on the one node."""
    (name,) = fleet.nodes
    data = {
        **SANDBOX,
        "move_watch_s": SECONDS,
        **{f"move_{key}": item for key, item in given.items()},
    }
    return fleet.run(name, deploy=DEPLOY, data=data, flags=flags or ("-y",))


@pytest.fixture(scope="module")
def begun(fleet: Fleet) -> Begun:
    """What all apps were, before those of ``KILLED`` were moved by a mover that is killed."""
    ((name, node),) = fleet.nodes.items()
    seed = time.time_ns() % 10**6
    chance = random.Random(seed)  # noqa: S311 - no secret
    found = Begun({app: sh(node, _INSPECT, app) for app in EVERY}, kept(node), seed)
    data = {**SANDBOX, "move_watch_s": 1, "move_failing": True, "move_apps": [*KILLED]}
    for _ in range(KILLS):
        started = fleet.start(name, data, deploy=DEPLOY)
        time.sleep(1 + chance.uniform(0, 9))
        sh(node, "for pid in $(pgrep -f '[m]oves.mover'); do kill -9 $pid; done; true")
        os.killpg(started.pid, signal.SIGKILL)
        started.wait(30)
        found.names.append(sh(node, NAMES).split())
    found.last = move(fleet, apps=[*KILLED], watch_s=1, failing=True)
    return found


@pytest.fixture(scope="module")
def done(fleet: Fleet, begun: Begun) -> Done:
    """Plan, then move, while somebody asks for the sites."""
    (node,) = fleet.nodes.values()
    was = snapshot(node)
    begin_asking(node)
    plan = move(fleet, "--dry")
    changed = snapshot(node) != was
    ran = move(fleet, max_failed=9)
    failing = move(fleet, apps=["misc-fails-1"], failing=True)
    return Done(node, plan, changed, ran, failing, kept(node), end_asking(node))


def test_killed_at_any_moment_it_goes_on_and_no_app_stays_away(fleet: Fleet, begun: Begun) -> None:
    (node,) = fleet.nodes.values()

    assert begun.last.code == 0, (begun.seed, begun.last.text)
    assert all(in_sandbox(node, app) for app in KILLED), begun.seed
    assert all({*EVERY} - {*names} <= {*KILLED} for names in begun.names), begun.seed
    assert sorted(sh(node, NAMES).split()) == sorted(EVERY), begun.seed


def test_a_plan_tells_order_and_gaps_and_changes_nothing(done: Done) -> None:
    lines = TOLD.findall(done.plan.text)

    assert not done.plan_changed
    assert [name for place, name, _ in lines if place == "next"][:2] == [*GAPLESS]
    assert {why for _, name, why in lines if name in GAPLESS} == {"without a gap"}
    assert {name: why for place, name, why in lines if place == "left"}.keys() == {*SHARING}
    assert "shared-socket" in done.plan.text


def test_what_works_is_in_gvisor_and_what_fails_runs_on_under_runc(done: Done) -> None:
    told = done.told

    assert done.ran.code == 1, done.ran.text
    assert {name for name in EVERY if told.get(name, "")[:1] == ("moved",)} == {*MOVES} - {*KILLED}
    assert told["misc-fails-1"][1].startswith("its trial fails: the twin ended with code 1 after")
    assert told["misc-sick-1"] == ("back", "its health check says unhealthy")
    assert {name for name in EVERY if in_sandbox(done.node, name)} == {*MOVES}


def test_what_fails_in_a_trial_is_moved_if_asked_and_goes_back(done: Done) -> None:
    told = where(done.failing.text)

    assert done.failing.code == 1
    assert told["misc-fails-1"] == ("back", "it ended, and was started again")
    assert sorted(sh(done.node, NAMES).split()) == sorted(EVERY)
    assert "not permitted" in done.failing.text


def test_a_site_with_two_at_once_never_fails_and_the_others_as_long_as_foretold(done: Done) -> None:
    foretold = {name: why for place, name, why in TOLD.findall(done.plan.text) if place == "next"}

    assert {name: done.asked[name].failed for name in GAPLESS} == dict.fromkeys(GAPLESS, 0)
    for name, seen in done.asked.items():
        assert seen.asked > 20, name
        if found := re.search(r"at most (\d+) s", foretold.get(name, "")):
            assert seen.away_s < int(found[1])


def test_no_volume_loses_anything(begun: Begun, done: Done) -> None:
    assert done.after["orders"] > begun.kept["orders"]
    assert done.after["jobs"] == begun.kept["jobs"] == ["1", "2", "3", "4", "5"]
    assert done.after["starts"] == begun.kept["starts"]


def test_a_new_container_is_what_the_old_one_was_and_compose_sees_no_difference(
    begun: Begun, done: Done
) -> None:
    for name, before in begun.inspected.items():
        after = sh(done.node, _INSPECT, name)
        differs = [*unified_diff(before.split("\n"), after.split("\n"), n=0)]
        assert not differs, (name, differs)
    ups = "docker compose --project-directory $app up -d 2>&1; done"
    said = sh(done.node, f"for app in /srv/move/*/; do {ups}")
    assert not re.search("Recreate|Created|Starting", said), said


def test_no_secret_is_told_or_written(done: Done) -> None:
    written = sh(done.node, f"cat {RECORD}; journalctl --no-pager -o cat")

    texts = (done.plan.text, done.ran.text, done.failing.text, written)
    assert not any(SECRET in text for text in texts)


def test_a_second_move_has_nothing_to_do_but_what_went_back(fleet: Fleet, done: Done) -> None:
    again = where(move(fleet, "--dry").text)

    assert again.keys() == {*BAD, *SHARING}
