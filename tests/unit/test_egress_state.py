"""What a node's answer says of its firewall, read."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from pyinfra_gvisor.base.node_files import FoundFile
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.egress import state as told_of
from pyinfra_gvisor.parts.egress.files import RULES
from pyinfra_gvisor.parts.egress.state import DockerNetwork, EgressState, Ssh
from tests.unit.answers import answer
from tests.unit.egress_states import behind, found, planned, told

DIGEST = hashlib.sha256(b"").hexdigest()


def read(*lines: str) -> EgressState:
    """What these lines say, as one of a node's answer each."""
    return parse_node([*(f"egress {line}" for line in lines), *answer()]).part(EgressState)


def test_a_node_that_says_nothing_has_none() -> None:
    assert read() == EgressState()
    assert not read().there


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as-declared"),
        pytest.param({"pending": True, "now": None, "unit": "failed"}, id="on-probation"),
        pytest.param({"ssh": Ssh(client="fd00::9", port=2222, interface="br-x")}, id="ssh-v6"),
        pytest.param({"ssh": Ssh(client="fe80::9%eth0", port=22, interface="")}, id="no-way-back"),
        pytest.param({"published": ("53/udp", "8080/tcp")}, id="published"),
        pytest.param({"managers": ("ufw", "nftables.service")}, id="managers"),
        pytest.param({"uplinks": ("eth0", "wg0", "br-lan")}, id="several-ways-out"),
        pytest.param({"rules": "# gr\u00fc\u00df 'x' $(id)\n\n"}, id="odd-text"),
        pytest.param({"rules": ""}, id="empty-file"),
        pytest.param(
            {"bridges": ("br0", "e*"), "ports": {"br0": "eth0", "e*": "a\\b"}}, id="ports"
        ),
    ],
)
def test_what_a_node_tells_is_read_as_it_was_told(changes: dict[str, Any]) -> None:
    state = behind(planned(found(), {}), **changes)

    assert told_of.read([line.removeprefix("egress ") for line in told(state)]) == state
    assert parse_node([*told(state), *answer()]).part(EgressState) == state


def test_what_is_told_twice_is_known_once() -> None:
    state = read(
        *("uplink eth0", "uplink wg0", "uplink eth0"),
        *("resolver 10.0.0.2", "resolver 10.0.0.2"),
        *("published 80/tcp", "published 53/udp", "published 80/tcp"),
    )

    assert state.uplinks == ("eth0", "wg0")
    assert state.resolvers == ("10.0.0.2",)
    assert state.published == ("53/udp", "80/tcp")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("bridge docker0 bridge", ("bridge", "docker0", "bridge"), id="dockers"),
        pytest.param("bridge br-0123456789ab a b  c", ("bridge", "br-0123456789ab", "a b  c"),
                     id="spaces-in-its-name"),
        pytest.param("null - none", ("null", "", "none"), id="none"),
        pytest.param("rexray/x:1.2 - egress network", ("rexray/x:1.2", "", "egress network"),
                     id="a-plugins"),
        pytest.param("macvlan - -", ("macvlan", "", "-"), id="a-hyphen-for-a-name"),
        pytest.param("bridge br-x ", ("bridge", "br-x", ""), id="no-name"),
    ],
)  # fmt: skip
def test_a_network_is_read_whatever_its_name(line: str, expected: tuple[str, str, str]) -> None:
    driver, bridge, name = expected

    assert read(f"network {line}").networks == (
        DockerNetwork(driver=driver, bridge=bridge, name=name),
    )


def test_a_file_that_has_no_stat_is_as_if_it_were_not_there() -> None:
    state = read(f"sum {DIGEST} {RULES}", f"sum {DIGEST} /a", "stat 644:0:0 /a")

    assert state.files == {"/a": FoundFile(sha256=DIGEST, mode="644", owner="0:0")}


def test_rules_that_somebody_made_unreadable_leave_the_rest_known() -> None:
    latin = base64.b64encode("caf\u00e9".encode("latin-1")).decode()

    state = read(f"rules {latin}", "enabled yes")

    assert state.rules == "caf\ufffd"
    assert state.enabled


@pytest.mark.parametrize(
    ("line", "in_force", "is_other"),
    [
        pytest.param(f"loaded {'a' * 64} {DIGEST}", True, False, id="as-loaded"),
        pytest.param(f"loaded {'b' * 64} {DIGEST}", False, False, id="changed-since"),
        pytest.param(f"loaded {'a' * 64} {'0' * 64}", True, True, id="from-another-file"),
        pytest.param("loaded ", False, True, id="an-empty-note"),
        pytest.param(f"loaded {'a' * 64}", True, True, id="half-a-note"),
    ],
)
def test_whether_what_is_there_is_what_was_loaded_is_known(
    line: str, in_force: bool, is_other: bool
) -> None:
    state = read(f"now {'a' * 64}", line, f"sum {DIGEST} {RULES}", f"stat 644:0:0 {RULES}")

    assert (state.in_force, state.is_other_file) == (in_force, is_other)


def test_a_table_that_is_gone_is_not_in_force() -> None:
    assert not read(f"loaded {'a' * 64} {DIGEST}").in_force
    assert not EgressState().in_force


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("sum", id="sum-cut-short"),
        pytest.param("stat /x", id="stat-cut-short"),
        pytest.param("rules !", id="rules-not-in-base64"),
        pytest.param("ssh 10.0.0.9", id="ssh-cut-short"),
        pytest.param("ssh 10.0.0.9 x eth0", id="no-port"),
        pytest.param("network bridge docker0", id="network-without-a-name"),
        pytest.param("port br0", id="port-of-no-bridge"),
    ],
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        read(line)


def test_what_there_is_no_name_for_is_passed_over() -> None:
    assert read("something new", "nft yes") == EgressState(nft=True)
