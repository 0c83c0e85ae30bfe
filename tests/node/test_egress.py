"""What containers reach before there are rules and behind them, on every version of Docker."""

import re

import pytest

from tests.node.egress_nodes import (
    CONTAINERS,
    DATABASE,
    METADATA,
    METADATA6,
    PRIVATE,
    PUBLIC,
    PUBLIC6,
    RUN,
    UDP_PORT,
    WITHOUT_NFT,
    Ground,
    address6,
    gateway6,
)
from tests.node.egress_nodes import GATEWAY as GATEWAY4
from tests.node.egress_story import FLOWS, KEXINIT, EgressStory, tell
from tests.table import table

each_runtime = table("container", {runtime: name for name, runtime in CONTAINERS.items()})


@pytest.fixture(scope="module")
def told(egress: Ground) -> EgressStory:
    """The main job, done before anything else here has touched a node."""
    return tell(egress)


@each_runtime
@pytest.mark.parametrize("name", RUN)
def test_without_rules_everything_is_reached_and_then_what_is_allowed_and_named(
    told: EgressStory, name: str, container: str
) -> None:
    ground = told.ground
    allowed = ground.allowed(name)
    before, after = (moment[name].containers[container] for moment in (told.before, told.after))

    every = {*ground.forbidden(name), *ground.forbidden6(name), *allowed}
    assert {what: before[what] for what in every} == dict.fromkeys(every, "reached")
    assert {what: after[what] for what in allowed} == dict.fromkeys(allowed, "reached")
    assert before["name outside"] == after["name outside"] == PUBLIC
    assert before["name of a peer"] == after["name of a peer"] != "unknown"


def test_rules_that_only_report_change_nothing_and_say_what_others_will(told: EgressStory) -> None:
    assert told.reported == told.before

    for name in RUN:
        lines = [line for line in told.listed.stderr.splitlines() if f"[{name}]" in line]
        text = "\n".join(lines)
        assert re.search(r"the firewall would have blocked, in packets since .*: .*metadata ", text)
        for container in CONTAINERS:
            assert [line for line in lines if line.endswith(f"] {container}")]
        found = r"\[?([0-9a-f.:]+?)\]?:(\d+)/(tcp|udp) +\d+ packets?, .* to .* UTC"
        tried = {" ".join((to, protocol, port)) for to, port, protocol in re.findall(found, text)}
        assert tried == {item.partition(" ")[2] for item in told.stopped[name]}


@pytest.mark.parametrize("name", RUN)
def test_a_connection_that_was_open_before_the_rules_stays_open(
    told: EgressStory, name: str
) -> None:
    assert told.heard[name] == dict.fromkeys(CONTAINERS, KEXINIT)


@pytest.mark.parametrize("name", RUN)
def test_no_datagram_of_an_open_flow_is_lost_when_rules_are_loaded(
    told: EgressStory, name: str
) -> None:
    for flowed in told.flowed[name].values():
        assert {to: lost for to, (_, lost) in flowed.items()} == dict.fromkeys(FLOWS, 0)
        assert min(sent for sent, _ in flowed.values()) > 100  # 4 s; a run and reloads take more


@each_runtime
@pytest.mark.parametrize("name", RUN)
def test_what_is_forbidden_is_refused_in_both_versions_of_ip(
    told: EgressStory, name: str, container: str
) -> None:
    expected = {
        **dict.fromkeys(told.ground.forbidden(name), "EHOSTUNREACH"),
        **dict.fromkeys(told.ground.forbidden6(name), "EACCES"),
    }

    found = {what: told.after[name].containers[container][what] for what in expected}

    assert found == expected


@pytest.mark.parametrize("name", RUN)
def test_published_ports_are_reached_from_outside_as_before(told: EgressStory, name: str) -> None:
    expected = dict.fromkeys(CONTAINERS, "reached")

    assert told.before[name].published == told.after[name].published == expected


@pytest.mark.parametrize("name", RUN)
def test_who_was_stopped_is_remembered_and_nobody_else(told: EgressStory, name: str) -> None:
    node, outside = (told.ground.nodes[item] for item in (name, "outside"))
    aimed = {
        f"{METADATA} tcp 80",
        f"{METADATA} udp 53",
        f"{PRIVATE} tcp 80",
        f"{PRIVATE} udp {UDP_PORT}",
        f"{DATABASE} tcp 80",
        f"{outside.address} tcp 80",
        f"{PUBLIC} tcp 25",
        f"{GATEWAY4} tcp 22",
        f"{node.address} tcp 22",
    }
    aimed6 = {
        f"{METADATA6} tcp 80",
        f"{address6(outside)} tcp 80",
        f"{PUBLIC6} tcp 25",
        f"{gateway6(name)} tcp 22",
        f"{address6(node)} tcp 22",
    }

    found = [item.partition(" ") for item in told.stopped[name]]

    sources = {source for source, _, _ in found}
    assert len(sources) == 2 * len(CONTAINERS)
    for source in sources:
        tried = {target for other, _, target in found if other == source}
        assert tried == (aimed6 if ":" in source else aimed)


@pytest.mark.parametrize("name", RUN)
def test_counters_tell_what_was_stopped_and_what_let_through(told: EgressStory, name: str) -> None:
    counted = told.counted[name]

    reasons = ("metadata", "private", "node", "smtp")
    assert all(counted[f"drop_{reason}"] > 0 for reason in reasons)
    assert counted["drop_rate"] == 0
    for kind in ("dns", "node", "allow_1", "internet"):
        assert counted[f"accept_{kind}"] > 0


@pytest.mark.parametrize("name", RUN)
def test_a_network_that_is_made_later_is_covered_and_works(told: EgressStory, name: str) -> None:
    assert told.latecomer[name] == {
        "metadata": "EHOSTUNREACH",
        "sshd by the gateway": "EHOSTUNREACH",
        "sshd by another gateway": "EHOSTUNREACH",
        "open internet": "reached",
        "node_ports": "reached",
        "name outside": PUBLIC,
    }


def test_nftables_is_installed_where_it_is_missing(told: EgressStory) -> None:
    said = "install nftables from the node's own apt"
    assert [name for name in RUN if f"[{name}] {said}" in told.report.stderr] == [WITHOUT_NFT]


def test_a_second_run_changes_nothing(told: EgressStory) -> None:
    assert told.second.idle
    assert told.second_changed == ()
