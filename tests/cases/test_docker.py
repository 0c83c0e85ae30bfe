"""``docker.*``: the engine, daemon.json and its generations, each planned from one reading."""

import base64
import json
import re
from typing import Any

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.generations import plan_generation
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.operations import docker
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import changed, generations, kept_as, users
from tests.table import table
from tests.unit.answers import after, answer, node

LIVE: dict[str, Json] = {"live-restore": True}
SECRET = "hunter2"  # noqa: S105 - a made-up one to look for
WITH_SECRET = json.dumps({"proxies": {"http-proxy": f"http://user:{SECRET}@proxy"}})


def test_a_change_is_one_command_with_the_transaction_and_secrets_on_its_standard_input() -> None:
    nodes = {"a": Node([answer(daemon_json='{"dns": []}')])}
    secretive = Node([answer(daemon_json=WITH_SECRET)])

    fleet = Fleet(nodes).done(docker.daemon_json, LIVE, owner=GVISOR, timeout_s=7, wait_s=11)
    labelled = {**LIVE, "labels": [SECRET]}
    Fleet({"a": secretive}).done(docker.daemon_json, labelled, owner=GVISOR)

    sent = nodes["a"].of("daemon.json")
    assert fleet.meta["a"].did_change()
    assert sent.written() == '{"dns": [], "live-restore": true}'
    for line in ("timeout_s=7", "wait_s=11", "host=@fake/a"):
        assert f"\n{line}\n" in (sent.stdin or "")
    hidden = (SECRET, base64.b64encode(WITH_SECRET.encode()).decode()[:40])
    assert "daemon.json" in secretive.kinds()
    assert not [item for item in secretive.sent if any(it in item.command for it in hidden)]


@table(
    "given, wanted, lines",
    new=({}, LIVE, ["--- /dev/null", "+++ /etc/docker/daemon.json", '+    "live-restore"']),
    removed=(
        after(plan_daemon_json(node(), LIVE)),
        {},
        ["--- /etc/docker/daemon.json", "+++ /dev/null"],
    ),
    changed=(
        {"daemon_json": '{\n  "dns": [],\n  "debug": true\n}\n'},
        {"debug": False},
        [
            *("--- /etc/docker/daemon.json", "+++ /etc/docker/daemon.json"),
            *('   "dns": []', '-  "debug": true', '+  "debug": false'),
        ],
    ),
)
def test_a_diff_is_shown_if_asked_for_names_both_sides_and_keeps_what_stays(
    given: Data, wanted: dict[str, Json], lines: list[str], caplog: Log
) -> None:
    texts = []
    for diff in (False, True):
        nodes = {"a": Node([answer(**given)])}
        Fleet(nodes, DIFF=diff).add(docker.daemon_json, wanted, owner=GVISOR)
        texts.append(re.sub(r"\x1b\[\d*m", "", caplog.text))

    without, text = texts
    assert [line for line in lines if f"[@fake/a] {line}" not in text] == []
    assert [line for line in lines if line in without] == []


NET = answer(**after(plan_daemon_json(node(), {"runtimes": {"net": {"path": "/n"}}}, owner="net")))
IDLE = {"users": users(("idle", False, "net"), ("web", True, "runc"))}


@table(
    "replies, reason",
    used=(IDLE, "net (these need it to start: idle (stopped)); "),
    not_known=({}, "cannot read which containers use a runtime"),
)
def test_alone_it_refuses_to_take_a_runtime_away_that_a_container_may_need(
    replies: dict[str, Reply], reason: str, caplog: Log
) -> None:
    nodes = {"bad": Node([NET], replies), "good": Node([NET], {"users": users()})}

    fleet = Fleet(nodes, prepare=False).done(docker.daemon_json, {}, owner="net")

    assert fleet.failed() == {"bad"}
    assert [nodes[name].acted() for name in nodes] == [[], ["daemon.json"]]
    leaving = "\nleaving=',\"net\"]'\n"  # the script looks again
    assert leaving in (nodes["good"].of("daemon.json").stdin or "")
    assert "docker.daemon_json: /etc/docker/daemon.json on @fake/bad: " in caplog.text
    assert reason in caplog.text


def test_alone_it_keeps_such_a_runtime_if_asked_to_and_tells_what_a_restart_did_not_see(
    caplog: Log,
) -> None:
    nodes = {"a": Node([NET], IDLE)}
    note = "published ports were not tested from outside"
    done = answer(state={"last-run": {"result": "applied", "reason": "", "notes": note}})
    restarted = {"a": Node([answer(), done])}

    fleet = Fleet(nodes).done(docker.daemon_json, {}, owner="net", keep_running=True)
    off = {"userland-proxy": False}
    Fleet(restarted, prepare=False).done(docker.daemon_json, off, owner=GVISOR)

    assert nodes["a"].acted() == []
    assert not fleet.meta["a"].did_change()
    assert caplog.text.count("runtime net is not declared, but these containers need it") == 1
    assert "these containers need it: idle (stopped). " in caplog.text
    assert caplog.text.count(f"/etc/docker/daemon.json: {note}") == 1


DOWN = ("info", "dockerd", "clock")
MISSING = (*DOWN, "docker_client")


def test_an_engine_that_does_not_answer_is_not_replaced(caplog: Log) -> None:
    nodes = {"bad": Node([answer(without=DOWN)]), "good": Node([answer()])}

    fleet = Fleet(nodes).done(docker.engine, "debian")

    assert fleet.failed() == {"bad"}
    assert [set(item.kinds()) for item in nodes.values()] == [{"state"}, {"state"}]
    assert "docker.engine: docker on @fake/bad: dockerd does not answer, got " in caplog.text


@table(
    "flavour, expected",
    debian=("debian", ["flavour=debian"]),
    docker_ce=(
        "docker-ce",
        [
            "flavour=docker-ce",
            "repository=https://download.docker.com/linux",
            "distribution=ubuntu",
            "codename=noble",
            f"key_sha256={docker.DOCKER_CE_KEY_SHA256}",
        ],
    ),
)
def test_a_missing_engine_is_installed_as_asked(flavour: Any, expected: list[str]) -> None:
    bare = answer(without=MISSING, os="ubuntu 24.04 noble")
    nodes = {"a": Node([bare, answer()])}

    fleet = Fleet(nodes).done(docker.engine, flavour)

    assert fleet.meta["a"].did_change()
    command = nodes["a"].of("docker").command
    assert all(f"{line}\n" in command for line in expected)


ORIGINAL = '{"dns": []}'
BARE: dict[str, Any] = {"daemon_json": ORIGINAL}
OLD = changed(BARE, {"labels": ["old"]})
NEW = changed(OLD, {"labels": ["new"]})


def back(to: Data = OLD, number: int = 2) -> Data:
    """The node after it was taken back from ``NEW``."""
    return after(plan_generation(node(**NEW), kept_as(to, number)))


def changed_node(**replies: Reply) -> Node:
    """A node that was changed twice, and whose going back comes true."""
    kept = {"generations": generations(BARE, OLD)}
    return Node([answer(**NEW), answer(**back())], {**kept, **replies})


@table(
    "number, expected",
    newest=(None, OLD["daemon_json"]),
    asked_for=(2, OLD["daemon_json"]),
    before_us=(1, ORIGINAL),
)
def test_a_node_goes_back_by_one_transaction(number: int | None, expected: str) -> None:
    nodes = {"a": changed_node()}

    fleet = Fleet(nodes).done(docker.generation, number, timeout_s=7, wait_s=11)

    assert nodes["a"].acted() == ["daemon.json"]
    assert nodes["a"].of("daemon.json").written() == expected
    assert f'"generation":{number or 2}' in nodes["a"].of("daemon.json").written("applied")
    for line in ("timeout_s=7", "wait_s=11"):
        assert f"\n{line}\n" in (nodes["a"].of("daemon.json").stdin or "")
    assert fleet.failed() == set()


def test_asked_again_it_changes_nothing_and_a_restart_that_is_not_made_stays_owed(
    caplog: Log,
) -> None:
    again = Node([answer(**back())], {"generations": generations(BARE, OLD, NEW)})
    kept = generations(changed(BARE, {"mtu": 1400}))
    owing = Node([answer(**NEW)], {"generations": kept})

    fleet = Fleet({"a": again}).done(docker.generation)
    Fleet({"a": owing}, prepare=False).done(docker.generation, restart="reload")

    assert (again.acted(), fleet.meta["a"].did_change()) == ([], False)
    assert "\naction=reload\n" in (owing.of("daemon.json").stdin or "")
    assert "/mtu: changed since dockerd started, restart dockerd to apply" in caplog.text


BAD = {"malformed": Reply(["daemon 1 e30=", "end of generations"]), "failed": Reply(ok=False)}


@table("kept", BAD)
def test_a_host_that_cannot_go_back_is_refused_alone(kept: Reply, caplog: Log) -> None:
    nodes = {"bad": changed_node(generations=kept), "good": changed_node()}
    nodes["good"].replies = {"generations": generations(BARE, OLD, OLD, OLD, OLD)}

    fleet = Fleet(nodes).done(docker.generation)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == []
    assert nodes["good"].acted() == ["daemon.json"]
    where = "docker.generation: /etc/docker/daemon.json on @fake/bad: "
    assert f"{where}the node's state is not known; see" in caplog.text
