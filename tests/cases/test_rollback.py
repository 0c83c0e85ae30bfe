"""``upgrade.*`` and the way back: proven before it is used, tidied up behind it, undone."""

import json
from typing import Any

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.daemon_json.generations import plan_generation
from pyinfra_gvisor.deploys.rollback import roll_back
from pyinfra_gvisor.operations import upgrade
from pyinfra_gvisor.planning.canary import plan_canaries
from pyinfra_gvisor.planning.collection import END
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply, done_by
from tests.cases.guarded import LOADED
from tests.cases.kept import changed, generations, kept_as, users
from tests.cases.proven import PROFILES, RELEASE, converged, proven_answer
from tests.table import table
from tests.unit.answers import Running, after, answer, node
from tests.unit.egress.egress_states import told
from tests.unit.parts.keeper_answers import timed
from tests.unit.proof.observations import SANDBOX, output

OLD = "20260831.0"
WRAPPERS = {release: wrapper("runsc", release, PROFILES["runsc"]) for release in (OLD, RELEASE)}
LINKS = {release: f"/opt/gvisor/releases/{release}/runsc" for release in (OLD, RELEASE)}
BARE: dict[str, Any] = {
    "releases": [OLD, RELEASE],
    "wrappers": {item.path: item.sha256 for item in WRAPPERS.values()},
    "runsc_link": LINKS[RELEASE],
}
PROVEN = Reply(output(runsc={**SANDBOX, "file": LINKS[OLD], "runs": OLD}))


def wanted(release: str) -> dict[str, Json]:
    """A daemon.json with the runtime on this release."""
    return {"live-restore": True, "runtimes": {"runsc": {"path": WRAPPERS[release].path}}}


ON_OLD = changed(BARE, wanted(OLD))
ON_NEW = changed(ON_OLD, wanted(RELEASE))
ROLLOUT = "20261203-1405-9f3a"
ON_NEW["state"] = {
    **ON_NEW["state"],
    "applied": {**ON_NEW["state"]["applied"], "rollout": ROLLOUT},
}
KEPT = generations(BARE, ON_OLD)


def gone_back(to: Data, number: int) -> Data:
    """The node after it was taken back from the newest state."""
    return {**ON_NEW, **after(plan_generation(node(**ON_NEW), kept_as(to, number)))}


BACK = {**gone_back(ON_OLD, 2), "runsc_link": LINKS[OLD]}
PROOF = {"fingerprint": fingerprint(node(**BACK), OLD, PROFILES)}
BACK["state"] = {**BACK["state"], "proof": PROOF}


def upgraded(kept: Reply = KEPT, **data: Any) -> Node:
    """A node that was taken from one release to the next, and goes back as it is told."""
    states = [ON_NEW, gone_back(ON_OLD, 2), BACK]
    replies = {"generations": kept, "users": users(), "prove": PROVEN}
    return Node([answer(**state) for state in states], replies, data)


@table(
    "data",
    newest={},
    asked_for={"gvisor_generation": 2},
    release={"rollback_release": OLD},
    rollout={"rollback_rollout": ROLLOUT},
)
def test_a_node_goes_back_to_the_release_that_it_had_once_and_is_proven_on_it(data: Data) -> None:
    item = upgraded(**data)
    unlinked = answer(**gone_back(ON_OLD, 2))
    item.states = [item.states[0], *[unlinked] * 3, item.states[2]]
    kept = generations(BARE, ON_OLD, ON_NEW)
    again = Node([answer(**BACK)], {"generations": kept, "users": users()}, data)

    assert done_by(roll_back, item) == ["daemon.json", "prove", "record", "link"]
    assert LINKS[OLD] in item.of("link").command
    assert done_by(roll_back, again) == []


@table(
    "data, reason",
    release=(
        {"rollback_release": "20250101.0"},
        "no generation has release 20250101.0, so it is left as it is",
    ),
    rollout=({"rollback_rollout": "x"}, "rollout x changed no daemon.json here, so it is left"),
)
def test_a_node_that_never_had_it_is_named_and_left(data: Data, reason: str, caplog: Log) -> None:
    item = upgraded(**data)

    assert done_by(roll_back, item) == []
    assert reason in caplog.text


ESCAPE = "20240729.0"
ESCAPED = wrapper("runsc", ESCAPE, PROFILES["runsc"]).path
ON_ESCAPE = changed(BARE, {"runtimes": {"runsc": {"path": ESCAPED}}})


def firewalled(**data: Any) -> Node:
    """A node with a firewall and a keeper, upgraded and rolled back."""
    item = upgraded(**data)
    keeper = timed("keeper", [NodeFile("/opt/gvisor/keeper/check", "755", "of the newest state")])
    item.states = [[*told(LOADED), *keeper, *lines] for lines in item.states]
    return item


BAD: dict[str, Any] = {
    "unknown-generation": (
        upgraded(gvisor_generation=9),
        (
            "rollback: /etc/docker/daemon.json on @fake/bad: no such generation, got 9; set "
            f"gvisor_generation to one of 1 (until 2023-11-14 22:13 UTC, no gVisor); 2 (until "
            f"2023-11-14 22:13 UTC, {OLD})"
        ),
    ),
    "cut-off": (upgraded(Reply(["x"])), "the node's answer is incomplete"),
    "bad-setting": (upgraded(gvisor_generation="2"), "gvisor_generation: must be"),
    "docker-down": (
        Node([answer(**{**ON_NEW, "without": ("info",)})], {"generations": KEPT}),
        "dockerd does not answer",
    ),
    "first-state-of-a-rollout": (
        upgraded(generations(ON_NEW), rollback_rollout=ROLLOUT),
        f"the state before this rollout is not kept any more, got {ROLLOUT}",
    ),
    "known-escape": (
        upgraded(generations(ON_ESCAPE)),
        f"rollback: node on @fake/bad: release {ESCAPE} has a known escape",
    ),
    "diverted": (
        Node([["divert places /usr/bin/runc", *answer(**ON_NEW)]], upgraded().replies),
        "change gvisor_default or gvisor_release instead",
    ),
    "without-a-key-of-the-keepers": (
        firewalled(),
        "gvisor_egress is not set, but the node has the egress firewall",
    ),
}


@table("bad, reason", BAD)
def test_a_host_that_cannot_go_back_is_refused_alone(bad: Node, reason: str, caplog: Log) -> None:
    bad.sent.clear()
    nodes = {"bad": bad, "good": upgraded()}

    fleet = Fleet(nodes).deployed(roll_back)

    assert fleet.failed() == {"bad"}
    assert bad.acted() == []
    assert nodes["good"].acted()[0] == "daemon.json"
    assert reason in caplog.text


def test_a_known_escape_is_gone_back_to_if_it_is_accepted_which_is_repeated(caplog: Log) -> None:
    reason = "throwaway nodes of a lab"
    item = upgraded(generations(ON_ESCAPE), gvisor_accept_risk=reason)

    Fleet({"a": item, "b": upgraded()}, prepare=False).deployed(roll_back)

    assert item.acted()[0] == "daemon.json"
    assert f"RISK ACCEPTED: runsc {ESCAPE} is open to" in caplog.text
    assert reason in caplog.text


def test_a_host_whose_containers_need_what_would_leave_is_refused_first(caplog: Log) -> None:
    keep = {"gvisor_generation": 1, "gvisor_keep_running": True}
    nodes = {"past": upgraded(gvisor_generation=1), "with": upgraded(), "kept": upgraded(**keep)}
    for item in nodes.values():
        asking = users(("shop", True, "runsc"), ("idle", False, "runsc"), ("web", True, "runc"))
        item.replies = {**item.replies, "users": asking}
    fleet = Fleet(nodes)

    fleet.deploy(roll_back)
    touched = [item.acted() for item in nodes.values()]
    fleet.run()

    told = "runsc (these need it to start: shop, idle (stopped)); "
    assert touched == [[], [], []]
    assert fleet.failed() == {"past"}
    assert nodes["past"].acted() == []
    assert caplog.text.count(told) == 1
    assert nodes["with"].acted()[0] == nodes["kept"].acted()[0] == "daemon.json"
    assert "users" not in nodes["with"].kinds()
    entry = {"path": WRAPPERS[RELEASE].path}
    assert json.loads(nodes["kept"].of("daemon.json").written()) == {"runtimes": {"runsc": entry}}


def test_before_us_there_was_nothing_to_prove_and_after_a_failure_the_link_stays() -> None:
    nodes = {"before": upgraded(gvisor_generation=1), "bad": upgraded(), "good": upgraded()}
    nodes["bad"].replies = {**nodes["bad"].replies, "daemon.json": Reply(ok=False)}

    fleet = Fleet(nodes, prepare=False).deployed(roll_back)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == nodes["before"].acted() == ["daemon.json"]
    assert "\nafter_b64=-\n" in (nodes["before"].of("daemon.json").stdin or "")


def test_the_keeper_checks_the_firewall_and_the_restored_runtimes() -> None:
    # Other options than before: the wrapper of today is another one.
    runtimes = {"runsc": {"hardening": "strict"}}
    item = firewalled(gvisor_egress={}, gvisor_runtimes=runtimes)

    fleet = Fleet({"a": item}).deployed(roll_back)

    texts = [text for _, text in item.of("keeper").files.values()]
    program = next(text for text in texts if "kept=" in text)
    assert "kept='egress runtimes release'" in program
    assert f"runtimes_declared='runtime runsc {WRAPPERS[OLD].path}'" in program
    assert f"release_home=/opt/gvisor/releases/{OLD}\n" in program
    assert fleet.failed() == set()


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
    no_answer=(Reply(ok=False), "could not be made: the probe ended too early"),
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


def test_where_entries_are_missing_they_are_added_before_a_try_and_what_still_runs_is_told(
    caplog: Log,
) -> None:
    shop = Running("shop", executable=f"/opt/gvisor/releases/{OLD}/runsc", argv0="runsc-sandbox")
    item = Node([answer(**{**converged(), "daemon_json": "{}\n"})])
    running = Node([answer(**{**HAS_OLD, "containers": [shop]})])

    fleet = Fleet({"a": item}).done(upgrade.canary, NEW, profiles=PROFILES)
    Fleet({"a": running}).done(upgrade.collection, RELEASE, keep=1)

    assert (fleet.failed(), item.kinds(), running.acted()) == (set(), ["state"], [])
    assert "daemon.json lacks runsc: this run adds the entry first" in caplog.text
    assert f"running on runsc {OLD} until their next restart: shop" in caplog.text


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
