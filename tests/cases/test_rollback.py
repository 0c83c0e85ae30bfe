"""The way back on the real engine: to which generation, in order, quiet when done."""

from __future__ import annotations

import json
from typing import Any

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.daemon_json.generations import plan_generation
from pyinfra_gvisor.deploys.rollback import roll_back
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply, done_by
from tests.cases.guarded import LOADED
from tests.cases.kept import changed, generations, kept_as, users
from tests.cases.proven import PROFILES, RELEASE
from tests.table import table
from tests.unit.answers import after, answer, node
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


@table("data", newest={}, asked_for={"gvisor_generation": 2})
def test_a_node_goes_back_to_the_release_that_it_had_and_is_proven_on_it(data: Data) -> None:
    item = upgraded(**data)
    unlinked = answer(**gone_back(ON_OLD, 2))
    item.states = [item.states[0], *[unlinked] * 3, item.states[2]]

    assert done_by(roll_back, item) == ["daemon.json", "prove", "record", "link"]
    assert LINKS[OLD] in item.of("link").command


@table("data", newest={}, asked_for={"gvisor_generation": 2})
def test_a_second_rollback_changes_nothing(data: Data) -> None:
    kept = generations(BARE, ON_OLD, ON_NEW)
    item = Node([answer(**BACK)], {"generations": kept, "users": users()}, data)

    assert done_by(roll_back, item) == []


def test_before_us_there_was_nothing_to_prove() -> None:
    nodes = {"a": upgraded(gvisor_generation=1)}

    Fleet(nodes, prepare=False).deployed(roll_back)

    assert nodes["a"].acted() == ["daemon.json"]
    assert "\nafter_b64=-\n" in (nodes["a"].of("daemon.json").stdin or "")


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
    "bad-setting": (upgraded(gvisor_generation="2"), "gvisor_generation: input should be"),
    "docker-down": (
        Node([answer(**{**ON_NEW, "without": ("info",)})], {"generations": KEPT}),
        "dockerd does not answer",
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


def test_after_a_transaction_that_failed_the_link_stays() -> None:
    nodes = {"bad": upgraded(), "good": upgraded()}
    nodes["bad"].replies = {**nodes["bad"].replies, "daemon.json": Reply(ok=False)}

    fleet = Fleet(nodes, prepare=False).deployed(roll_back)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == ["daemon.json"]


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
