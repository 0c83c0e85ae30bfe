"""``upgrade.canary`` and ``upgrade.collection``: proven before it is used, tidied up behind it."""

from __future__ import annotations

import json

from pyinfra_gvisor.operations import upgrade
from pyinfra_gvisor.planning.canary import plan_canaries
from pyinfra_gvisor.planning.collection import END
from tests.arguments import Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import PROFILES, RELEASE, converged, proven_answer
from tests.table import table
from tests.unit.answers import Running, after, answer, node
from tests.unit.proof.observations import SANDBOX, output

NEW = "20261005.0"
TRIED = after(plan_canaries(node(**converged()), NEW, {"runsccanary": PROFILES["runsc"]}))
SEEN = {"asked": "runsccanary", "file": f"/opt/gvisor/releases/{NEW}/runsc", "runs": NEW}


def shown(**changes: str) -> Reply:
    """What the probe under the temporary name prints."""
    lines = output(runsc={**SANDBOX, **SEEN, **changes})
    return Reply([line.replace("runsc\t", "runsccanary\t", 1) for line in lines])


def test_a_release_is_registered_beside_and_probed_and_nothing_is_switched() -> None:
    nodes = {"a": Node([answer(**converged()), answer(**TRIED)], {"prove": shown()})}
    before = json.loads(converged()["daemon_json"])

    fleet = Fleet(nodes).done(upgrade.canary, NEW, profiles=PROFILES)

    assert fleet.failed() == set()
    assert nodes["a"].acted() == ["daemon.json", "prove", "daemon.json"]
    first, last = (item for item in nodes["a"].sent if item.kind == "daemon.json")
    entries = json.loads(first.written())["runtimes"]
    assert entries["runsc"] == before["runtimes"]["runsc"]
    assert NEW in entries["runsccanary"]["path"]
    assert json.loads(last.written()) == before


@table(
    "reply, said",
    probe=(shown(raw_socket="allowed"), "not proven: raw-socket; no runtime"),
    no_answer=(Reply(ok=False), "could not be made: the probe broke off"),
)
def test_a_release_that_is_not_proven_is_taken_away(reply: Reply, said: str, caplog: Log) -> None:
    states = [answer(**converged()), answer(**TRIED)]
    nodes = {"a": Node(states, {"prove": reply}), "good": Node([answer()])}

    fleet = Fleet(nodes).done(upgrade.canary, NEW, profiles=PROFILES)

    assert "a" in fleet.failed()
    assert nodes["a"].acted() == ["daemon.json", "prove", "daemon.json"]
    last = [item for item in nodes["a"].sent if item.kind == "daemon.json"][-1]
    assert "runsccanary" not in json.loads(last.written())["runtimes"]
    assert f"upgrade.canary: runsc {NEW} on @fake/a: {said}" in caplog.text


def test_a_node_whose_runtimes_stay_as_they_are_is_not_touched() -> None:
    nodes = {"a": Node([proven_answer()]), "fresh": Node([answer()])}

    Fleet(nodes).done(upgrade.canary, RELEASE, profiles=PROFILES)

    assert nodes["a"].kinds() == nodes["fresh"].kinds() == ["state"]


def test_where_entries_of_ours_are_missing_they_are_added_before_a_try(caplog: Log) -> None:
    nodes = {"a": Node([answer(**{**converged(), "daemon_json": "{}\n"})])}

    fleet = Fleet(nodes).done(upgrade.canary, NEW, profiles=PROFILES)

    assert fleet.failed() == set()
    assert nodes["a"].kinds() == ["state"]
    assert "runsc is missing from daemon.json: it is added first" in caplog.text


OLD = "20260831.0"
HAS_OLD = {**converged(), "releases": [RELEASE, OLD]}


@table(
    "keep, users, asked, does",
    nothing_needs_it=(1, [END], 1, ["collect"]),
    within_what_is_kept=(2, [END], 0, []),
    a_process=(1, [f"/opt/gvisor/releases/{OLD}/runsc", END], 1, []),
    a_generation=(1, [f"/opt/gvisor/runtimes/runsc-{OLD}-0a1b2c3d", END], 1, []),
)
def test_a_release_goes_unless_it_is_kept_or_needed(
    keep: int, users: list[str], asked: int, does: list[str]
) -> None:
    item = Node([answer(**HAS_OLD)], {"release users": Reply(users)})

    fleet = Fleet({"a": item}).done(upgrade.collection, RELEASE, keep=keep)

    assert (item.acted(), item.kinds().count("release users")) == (does, asked)
    assert fleet.meta["a"].did_change() is bool(does)
    assert not does or item.of("collect").command.endswith(f"/opt/gvisor/releases/{OLD}")


def test_the_run_ends_with_what_still_runs_on_which_release(caplog: Log) -> None:
    executable = f"/opt/gvisor/releases/{OLD}/runsc"
    shop = Running("shop", executable=executable, argv0="runsc-sandbox")
    nodes = {"a": Node([answer(**{**HAS_OLD, "containers": [shop]})])}

    Fleet(nodes).done(upgrade.collection, RELEASE, keep=1)

    assert f"running on runsc {OLD} until their next restart: shop" in caplog.text
    assert nodes["a"].acted() == []
