"""The audit on the real engine: what it writes, whom it fails, and what else it asks."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.audit import judge
from pyinfra_gvisor.coolify.token import VARIABLE
from pyinfra_gvisor.deploys.audit import audit_node
from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import audit
from pyinfra_gvisor.releases.known import known
from pyinfra_gvisor.settings import Settings
from tests.arguments import Data, Log, Patch
from tests.cases.fleet import Fleet, Node, Reply
from tests.cases.proven import proven, proven_answer
from tests.coolify.api_client import serving
from tests.coolify.api_server import TOKEN, ApiServer
from tests.table import table
from tests.unit.answers import END, answer
from tests.unit.audit.audited import BARE, COOLIFY, NOTED, app
from tests.unit.coolify.coolify_answers import answer as control_host
from tests.unit.coolify.coolify_answers import container, patched, persistent, php
from tests.unit.settings.loaded_settings import good

GOOD = proven_answer()
BARE_APP = app(**BARE).lines()
BAD = [*GOOD[:-1], *BARE_APP, END]


def audited(nodes: dict[str, Node], deploy: Any = audit_node, *, limit: str | None = None) -> Fleet:
    """A run of the audit over all of them."""
    fleet = Fleet(nodes, prepare=False, limit=limit)
    with suppress(PyinfraError):  # no host remains
        fleet.deploy(deploy)
        fleet.run()
    return fleet


def host(answer: Any, directory: Path, **data: Any) -> Node:
    """A host that answers so and writes its reports there."""
    settings = {f"gvisor_{key}": value for key, value in data.items()}
    return Node([answer], data={"gvisor_report_dir": str(directory), **settings})


def fleet_of(directory: Path) -> Data:
    """The hosts in the fleet's report, by name."""
    document = json.loads((directory / "fleet.json").read_text())
    assert document["compliant"] is all(item["compliant"] for item in document["hosts"])
    return {item["host"].removeprefix("@fake/"): item for item in document["hosts"]}


def test_a_host_with_a_finding_fails_and_no_other_and_what_makes_it_fail_can_be_said(
    tmp_path: Path, caplog: Log
) -> None:
    owed = proven()["daemon_json"].replace("{", '{"log-level": "warn",', 1)
    waived = {"proof-stale": "proven anew tonight", "daemon-json-unread": "the same night"}
    slack: Data = {"answer": proven_answer(daemon_json=owed), "waivers": waived}
    slack |= {"restart": "reload", "directory": tmp_path}
    nodes = {"bad": host(BAD, tmp_path), "good": host(GOOD, tmp_path), "mild": host(**slack)}
    nodes["strict"] = host(**slack, audit_fail_on="medium")

    fleet = audited(nodes)

    assert fleet.failed() == {"bad", "strict"}
    found = fleet_of(tmp_path)
    states = {name: found[name]["state"] for name in ("bad", "good", "mild")}
    assert states == {"bad": "failed", "good": "clean", "mild": "findings"}
    ids = [item["id"] for item in found["bad"]["findings"] if not item["waived"]]
    assert ids == ["container-unsandboxed", *NOTED]
    assert caplog.text.count("fleet.json") == 1


def test_all_bad_hosts_are_in_the_report_with_what_an_earlier_run_knew_of_those_outside(
    tmp_path: Path,
) -> None:
    fleet = audited({"a": host(BAD, tmp_path / "two"), "b": host(BAD, tmp_path / "two")})
    audited({"bad": host(GOOD, tmp_path / "one", watch="yes")})
    audited({name: host(BAD, tmp_path) for name in "abc"}, limit="b")
    first = fleet_of(tmp_path)
    audited({name: host(GOOD, tmp_path) for name in "abc"}, limit="a")

    assert fleet.failed() == {"a", "b"}, "none remains"
    assert [item["state"] for item in fleet_of(tmp_path / "two").values()] == ["failed"] * 2
    assert fleet_of(tmp_path / "one")["bad"]["state"] == "unknown", "its settings are wrong"
    assert set(first) == {"b"}
    states = {name: item["state"] for name, item in fleet_of(tmp_path).items()}
    assert states == {"a": "clean", "b": "failed"}


@table(
    "bad",
    its_state_cannot_be_read={"answer": Reply(ok=False)},
    its_answer_breaks_off={"answer": ["nonsense"]},
    its_settings_are_wrong={"answer": GOOD, "watch": "yes"},
)
def test_a_host_that_could_not_be_looked_at_is_reported_unknown(tmp_path: Path, bad: Data) -> None:
    nodes = {"good": host(GOOD, tmp_path), "bad": host(directory=tmp_path, **bad)}

    fleet = audited(nodes)

    assert fleet.failed() == {"bad"}
    found = fleet_of(tmp_path)
    assert found["bad"]["state"] == "unknown"
    assert "failed before it was checked" in found["bad"]["error"]
    assert found["good"]["compliant"]


def test_metrics_are_written_by_one_more_command_whose_failure_leaves_the_report(
    tmp_path: Path,
) -> None:
    bad = host(BAD, tmp_path / "a", textfile_dir="/var/lib/node_exporter")
    node = host(GOOD, tmp_path / "b", textfile_dir="/nowhere")
    node.replies = {"textfile": Reply(stderr=["no such directory"], ok=False)}

    failed = [audited({"a": item}).failed() for item in (bad, node)]

    assert (bad.kinds(), failed) == (["state", "textfile"], [{"a"}, {"a"}])
    assert fleet_of(tmp_path / "b")["a"]["state"] == "clean"


def test_a_dry_run_says_what_is_found_and_writes_nothing(tmp_path: Path, caplog: Log) -> None:
    node = host(BAD, tmp_path / "reports", textfile_dir="/var/lib/node_exporter")
    fleet = Fleet({"a": node})

    fleet.deploy(audit_node)

    assert "CRITICAL container-unsandboxed: Must run in gVisor" in caplog.text
    assert fleet.failed() == set()
    assert node.kinds() == ["state"]
    assert not (tmp_path / "reports").exists()


def test_the_deploy_reports_what_it_leaves_and_fails_nobody_for_it(tmp_path: Path) -> None:
    nodes = {"a": host(BAD, tmp_path), "b": host(answer(without=("info",)), tmp_path)}
    measured = Node([GOOD], data={"gvisor_textfile_dir": "/var/lib/node_exporter"})

    fleet, unreported = audited(nodes, run_node), audited({"a": measured}, run_node)

    assert fleet.failed() == {"b"}
    found = fleet_of(tmp_path)
    assert (found["a"]["by"], found["a"]["state"]) == ("deploy", "failed")
    assert found["b"]["state"] == "unknown"
    assert measured.kinds() == ["state", "state", "textfile"]
    assert unreported.failed() == set()


def of_later(monkeypatch: Patch) -> None:
    """Have the run a hundred days after what is known of releases was looked for."""
    later = known().as_of + timedelta(days=100)
    judged = judge.judge_package
    monkeypatch.setattr(judge, "judge_package", lambda _today, waivers: judged(later, waivers))


def lines_with(text: str, log: Log) -> list[str]:
    """The messages that have this text."""
    return [record.message for record in log.records if text in record.message]


@pytest.mark.parametrize("deploy", [audit_node, run_node])
def test_an_old_list_of_releases_is_told_once_a_run_and_of_no_host(
    tmp_path: Path, caplog: Log, monkeypatch: Patch, deploy: Any
) -> None:
    of_later(monkeypatch)

    fleet = audited({name: host(GOOD, tmp_path, audit_fail_on="low") for name in "abc"}, deploy)

    assert len(lines_with("LOW known-old", caplog)) == 1
    assert fleet.failed() == set()
    document = json.loads((tmp_path / "fleet.json").read_text())
    assert [item["id"] for item in document["findings"]] == ["known-old"]
    assert "known-old" not in str(document["hosts"])


def test_an_old_list_is_told_without_reports_and_in_a_plan_and_waived_on_any_host(
    tmp_path: Path, caplog: Log, monkeypatch: Patch
) -> None:
    of_later(monkeypatch)
    reason = "no upgrade before the freeze ends"
    nodes = {"a": host(GOOD, tmp_path, waivers={"known-old": reason}), "b": host(GOOD, tmp_path)}
    fleet = Fleet({name: Node([GOOD]) for name in "ab"})

    fleet.deploy(audit_node)

    assert len(lines_with("LOW known-old", caplog)) == 1
    fleet.run()
    assert len(lines_with("LOW known-old", caplog)) == 1
    audited(nodes)
    document = json.loads((tmp_path / "fleet.json").read_text())
    assert [item["waived"] for item in document["findings"]] == [reason]
    assert {item["state"] for item in document["hosts"]} == {"clean"}


@pytest.fixture
def api(monkeypatch: Patch) -> Iterator[ApiServer]:
    """A Coolify with one server, whose token is in the environment."""
    monkeypatch.setenv(VARIABLE, TOKEN)
    with serving() as (server, _):
        server.state.add_server("run-1")
        yield server


def running(number: object) -> Node:
    """A node with a sandboxed container of the app with this number."""
    labels = {**COOLIFY, "coolify.applicationId": str(number), "coolify.pullRequestId": "0"}
    told = proven_answer()
    told[-1:] = [*app(labels=labels).lines(), END]
    return Node([told])


def number_of(api: ApiServer, uuid: str) -> Any:
    """What an app's containers are labelled with."""
    (server,) = api.state.servers
    return next(item["id"] for item in api.state.resources_of(server) if item["uuid"] == uuid)


def test_apps_are_asked_for_once_for_all_nodes_and_their_labels_are_read(api: ApiServer) -> None:
    (server,) = api.state.servers
    isolated = api.state.add_app("good", server, "--runtime=runsc")
    bare = api.state.add_app("bad", server, "--init")
    nodes = {"a": running(number_of(api, isolated)), "b": running(number_of(api, bare))}
    declared = good(gvisor_coolify_url=api.url)

    alone = Fleet({"a": running(1)}, prepare=False).done(audit.findings, settings=Settings())
    asked_without_an_address = [*api.seen]
    fleet = Fleet(nodes, prepare=False).done(audit.findings, settings=declared)

    assert (alone.failed(), asked_without_an_address) == (set(), [])
    assert fleet.failed() == {"b"}  # its next deployment would lose the sandbox
    assert [item.asked for item in api.seen].count("GET /applications") == 1
    assert "coolify.applicationId" in nodes["a"].of("state").command


def test_a_coolify_that_refuses_fails_the_audit_of_every_node(api: ApiServer, caplog: Log) -> None:
    api.refusal = (403, "API is disabled.")
    fleet = Fleet({"a": running(1), "b": running(1)}, prepare=False)

    fleet.add(audit.findings, settings=good(gvisor_coolify_url=api.url))
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.run()

    assert caplog.text.count("on: Coolify's API") == 2
    assert TOKEN not in caplog.text


def test_a_control_host_is_asked_whether_it_honours_the_option(caplog: Log) -> None:
    dropping = control_host(container(), *php())
    nodes = {
        "bad": Node([proven_answer(), dropping], each_read=True),
        "good": Node([proven_answer(), control_host(*persistent(), *patched())], each_read=True),
    }

    fleet = Fleet(nodes, prepare=False, groups={"coolify": {}})
    fleet.done(audit.findings, settings=Settings())

    assert fleet.failed() == {"bad"}
    assert "CRITICAL coolify-drops-option: Coolify ignores --runtime" in caplog.text
    assert [node.kinds() for node in nodes.values()] == [["state", "coolify state"]] * 2


BUILDS = [*GOOD[:-1], "build_cache 18 2026-11-25T14:05:19Z", END]
SAID = "the node is in group build and also has runtimes for apps"


@table(
    "groups, is_said",
    a_run_node=({"run": {}}, False),
    a_run_node_that_builds=({"run": {}, "build": {}}, True),
)
def test_a_node_of_the_group_build_that_runs_apps_is_told_to_be_both(
    tmp_path: Path, groups: Data, is_said: bool
) -> None:
    node = Node([BUILDS], data={"gvisor_report_dir": str(tmp_path)})

    fleet = Fleet({"a": node}, prepare=False, groups=groups).deployed(audit_node)

    (host,) = json.loads((tmp_path / "fleet.json").read_text())["hosts"]
    (found,) = [item for item in host["findings"] if item["id"] == "builds-unsandboxed"]
    assert found["severity"] == "medium"
    assert (SAID in found["evidence"]) is is_said
    assert fleet.failed() == set()
