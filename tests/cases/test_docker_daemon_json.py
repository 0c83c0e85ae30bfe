"""``docker.daemon_json``: planned from one reading, sent as one script, refused host by host."""

from __future__ import annotations

import base64
import json
import re

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.operations import docker
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.kept import users
from tests.table import table
from tests.unit.answers import after, answer, node

LIVE: dict[str, Json] = {"live-restore": True}
SECRET = "hunter2"  # noqa: S105 - a made-up one to look for
WITH_SECRET = json.dumps({"proxies": {"http-proxy": f"http://user:{SECRET}@proxy"}})


def test_a_change_is_one_command_with_the_transaction_on_its_standard_input() -> None:
    nodes = {"a": Node([answer(daemon_json='{"dns": []}')])}

    fleet = Fleet(nodes).done(docker.daemon_json, LIVE, owner=GVISOR, timeout_s=7, wait_s=11)

    sent = nodes["a"].of("daemon.json")
    assert fleet.meta["a"].did_change()
    assert sent.written() == '{"dns": [], "live-restore": true}'
    assert "\ntimeout_s=7\n" in (sent.stdin or "")
    assert "\nwait_s=11\n" in (sent.stdin or "")
    assert "\nhost=@fake/a\n" in (sent.stdin or "")


def test_no_secret_of_the_file_is_in_any_command_line() -> None:
    nodes = {"a": Node([answer(daemon_json=WITH_SECRET)])}

    Fleet(nodes).done(docker.daemon_json, {**LIVE, "labels": [SECRET]}, owner=GVISOR)

    hidden = (SECRET, base64.b64encode(WITH_SECRET.encode()).decode()[:40])
    assert "daemon.json" in nodes["a"].kinds()
    assert not [sent for sent in nodes["a"].sent if any(item in sent.command for item in hidden)]


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


def test_what_a_restart_could_not_look_at_is_told_after_it(caplog: Log) -> None:
    note = "published ports were not tested from outside"
    done = answer(state={"last-run": {"result": "applied", "reason": "", "notes": note}})
    nodes = {"a": Node([answer(), done])}

    Fleet(nodes, prepare=False).done(docker.daemon_json, {"userland-proxy": False}, owner=GVISOR)

    assert caplog.text.count(f"/etc/docker/daemon.json: {note}") == 1


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


def test_alone_it_keeps_such_a_runtime_if_it_is_asked_to_and_says_for_whom(caplog: Log) -> None:
    nodes = {"a": Node([NET], IDLE)}

    fleet = Fleet(nodes).done(docker.daemon_json, {}, owner="net", keep_running=True)

    assert nodes["a"].acted() == []
    assert not fleet.meta["a"].did_change()
    assert caplog.text.count("runtime net is not declared, but these containers need it") == 1
    assert "these containers need it: idle (stopped). " in caplog.text
