"""What of the firewall a probe tries, and what proves that it is stopped."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.proof import CHECKS as EGRESS_CHECKS
from pyinfra_gvisor.parts.egress.settings import PRIVATE, Egress, network
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.egress.tries import GATEWAY, NO_FIREWALL, Try, tries
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.part import NOT_WHILE_TRIED
from pyinfra_gvisor.proof.script import probe_script
from pyinfra_gvisor.proof.skipped_checks import skipped_checks
from pyinfra_gvisor.proof.verdict import judge
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.unit.answers import node
from tests.unit.egress_states import declaring
from tests.unit.observations import RELEASE, STOPPED, output

HOST = {"runsc": Runtime(network="host")}
KINDS = ("metadata", "private", "node", "smtp", "allowed")
REASON = "our own metadata proxy answers there"


def word(check: str, **changes: dict[str, str | None]) -> str:
    """What comes of a check if these were the observations."""
    verdicts = judge(output(**changes), RELEASE, HOST)
    (found,) = (verdict.word for verdict in verdicts if verdict.check.id == check)
    return found


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in STOPPED])
@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param("stopped, no route", "ok", id="refused-at-once"),
        pytest.param("stopped, no answer", "ok", id="not-said-why"),
        pytest.param("stopped, connected", "NOT PROVEN", id="stopped-and-connected"),
        pytest.param("stopped", "NOT PROVEN", id="nothing-seen-inside"),
        pytest.param("stopped, ", "NOT PROVEN", id="an-empty-word-inside"),
        pytest.param("by no rule, no answer", "NOT PROVEN", id="somebody-elses-doing"),
        pytest.param("by no rule, connected", "NOT PROVEN", id="connected"),
        pytest.param("let through, no route", "NOT PROVEN", id="let-through"),
        pytest.param("stopped and let through, no route", "NOT PROVEN", id="both"),
        pytest.param("not in force, no route", "NOT PROVEN", id="not-in-force"),
        pytest.param("no route", "NOT PROVEN", id="only-from-inside"),
        pytest.param("", "NOT PROVEN", id="empty"),
        pytest.param(None, "NOT PROVEN", id="missing"),
    ],
)
def test_stopped_is_what_the_rules_have_stopped_and_did_not_connect(
    key: str, seen: str | None, expected: str
) -> None:
    assert word(key.replace("_", "-"), runsc={key: seen}) == expected


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in STOPPED])
@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param("let through, connected", "ok", id="connected"),
        pytest.param("let through, no answer", "ok", id="nobody-there"),
        pytest.param("let through", "ok", id="nothing-seen-inside"),
        pytest.param("stopped, no route", "NOT PROVEN", id="stopped"),
        pytest.param("stopped and let through, connected", "NOT PROVEN", id="both"),
        pytest.param("by no rule, connected", "NOT PROVEN", id="connected-by-no-rule"),
        pytest.param("not in force, connected", "NOT PROVEN", id="not-in-force"),
        pytest.param("connected", "NOT PROVEN", id="only-from-inside"),
        pytest.param("", "NOT PROVEN", id="empty"),
        pytest.param(None, "NOT PROVEN", id="missing"),
    ],
)
def test_a_control_that_the_rules_did_not_let_through_proves_nothing(
    key: str, seen: str | None, expected: str
) -> None:
    assert word(key.replace("_", "-"), runc={key: seen}) == expected


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param("no route", id="stopped"),
        pytest.param("not in force, connected", id="not-in-force"),
        pytest.param("", id="empty"),
        pytest.param(None, id="missing"),
    ],
)
@pytest.mark.parametrize("subject", ["runsc", "runc"])
def test_what_is_allowed_has_to_be_reached_on_both_sides(subject: str, seen: str | None) -> None:
    assert word("egress-allowed", **{subject: {"egress_allowed": seen}}) == "NOT PROVEN"


def test_metadata_is_worst() -> None:
    worst = {check.id for check in EGRESS_CHECKS if check.severity is Severity.CRITICAL}

    assert worst == {"egress-metadata"}
    assert [check.id for check in EGRESS_CHECKS if check.severity is Severity.HIGH] == [
        "egress-private",
        "egress-smtp",
        "egress-node",
    ]


def declared(**given: Any) -> dict[str, Try | str]:
    """What is tried with these settings, and what is not."""
    return tries(Egress.model_validate(given))


def test_with_the_defaults_all_that_is_blocked_is_tried() -> None:
    found = declared()

    assert {kind for kind, item in found.items() if isinstance(item, Try)} == {*KINDS} - {"allowed"}
    assert found["metadata"] == Try(("169.254.169.254",), 80)
    assert found["node"] == Try((GATEWAY,), 22)
    assert found["smtp"] == Try(("192.0.2.1", "198.51.100.1", "203.0.113.1"), 25)


def test_the_private_addresses_are_such_as_are_blocked() -> None:
    found = declared()["private"]

    assert isinstance(found, Try)
    for address in found.addresses:
        assert any(ip_address(address) in network(text) for text in PRIVATE)


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        pytest.param(
            {"allow": [{"to": "10.0.0.0/8"}]},
            "private",
            Try(("172.31.255.254", "192.168.255.254", "100.127.255.254"), 80),
            id="a-private-network-is-allowed",
        ),
        pytest.param(
            {"allow": [{"to": "10.0.0.0/8", "ports": ["5432", "80/udp"]}]},
            "private",
            Try(("10.255.255.254", "172.31.255.254", "192.168.255.254", "100.127.255.254"), 80),
            id="another-port-is-allowed",
        ),
        pytest.param({"smtp_ports": [465, 25]}, "smtp", 25, id="port-25-first"),
        pytest.param({"smtp_ports": [587, 465]}, "smtp", 587, id="another-mail-port"),
        pytest.param({"node_ports": ["22", "100-120"]}, "node", 2375, id="ssh-is-a-node-port"),
        pytest.param({"node_ports": ["22/udp"]}, "node", 22, id="its-udp-is-a-node-port"),
        pytest.param(
            {"allow": [{"to": "10.0.0.5", "ports": ["53/udp", "8000-8010", "5432"]}]},
            "allowed",
            Try(("10.0.0.5",), 5432),
            id="the-lowest-allowed-port",
        ),
        pytest.param(
            {
                "allow": [
                    {"to": "10.0.0.4"},
                    {"to": "10.1.0.0/16", "ports": ["80"]},
                    {"to": "fd77::1", "ports": ["80"]},
                    {"to": "10.0.0.5", "ports": ["53/udp"]},
                    {"to": "10.0.0.6/32", "ports": ["443/tcp"]},
                ]
            },
            "allowed",
            Try(("10.0.0.6",), 443),
            id="the-first-with-an-address-and-a-port",
        ),
    ],
)
def test_what_is_tried_is_what_the_settings_stop_and_allow(
    given: dict[str, Any], kind: str, expected: Try | int
) -> None:
    found = declared(**given)[kind]

    assert isinstance(found, Try)
    assert expected in (found, found.port)


@pytest.mark.parametrize(
    ("given", "kind", "why_not"),
    [
        pytest.param({"block": []}, "metadata", "does not include metadata", id="metadata"),
        pytest.param({"block": ["node"]}, "private", "does not include private", id="private"),
        pytest.param({"block": ["node"]}, "smtp", "does not include smtp", id="smtp"),
        pytest.param({"block": ["smtp"]}, "node", "does not include node", id="node"),
        pytest.param(
            {"allow": [{"to": "169.254.169.254", "reason": REASON}]},
            "metadata",
            "`allow` includes every",
            id="metadata-is-allowed",
        ),
        pytest.param(
            {"allow": [{"to": "0.0.0.0/0", "ports": ["1-100"], "reason": REASON}]},
            "private",
            "`allow` includes every",
            id="everything-is-allowed",
        ),
        pytest.param({"smtp_ports": []}, "smtp", "`smtp_ports` is empty", id="no-mail-port"),
        pytest.param(
            {"node_ports": ["1-65535"]},
            "node",
            "`node_ports` includes",
            id="every-port-is-a-node-port",
        ),
        pytest.param({}, "allowed", "`allow` has no IPv4", id="nothing-allowed"),
        pytest.param(
            {"allow": [{"to": "10.0.0.5"}]}, "allowed", "`allow` has no IPv4", id="no-port-allowed"
        ),
    ],
)
def test_what_is_not_tried_has_its_reason(given: dict[str, Any], kind: str, why_not: str) -> None:
    found = declared(**given)[kind]

    assert isinstance(found, str)
    assert why_not in found
    assert len(found) <= 52, "it is shown in full"


def spared_kinds(egress: Egress | None, no_reload: str | None = None) -> dict[str, str]:
    """Why checks of the firewall do not apply."""
    found = skipped_checks(node(), wanted=True, no_reload=no_reload, declared=declaring(egress))
    return {check: why for check, why in found.items() if check.startswith("egress-")}


def test_without_a_firewall_none_of_its_checks_apply() -> None:
    assert spared_kinds(None) == {check.id: NO_FIREWALL for check in EGRESS_CHECKS}


def test_while_a_release_is_tried_the_rules_may_not_be_loaded_yet() -> None:
    expected = {check.id: NOT_WHILE_TRIED for check in EGRESS_CHECKS}

    assert (
        spared_kinds(Egress(), NOT_WHILE_TRIED) == spared_kinds(None, NOT_WHILE_TRIED) == expected
    )


def test_rules_that_are_not_in_force_spare_nothing() -> None:
    assert set(spared_kinds(Egress())) == {"egress-allowed"}


def firewalled(**given: Any) -> Node:
    """A node whose rules are in force, but for what is given."""
    loaded = {"now": "a", "as_loaded": "a", "uplinks": ("eth0", "wlan0"), **given}
    return node().model_copy(update={"parts": {"egress": EgressState(**loaded)}})


def test_the_script_is_told_what_to_try() -> None:
    egress = Egress.model_validate({"block": ["metadata", "node"], "node_ports": ["22"]})

    text = probe_script(firewalled(), HOST, no_reload="not now", declared=declaring(egress))

    assert "tries='metadata=169.254.169.254=80 node=gateway=111'\n" in text
    assert "uplinks='eth0 wlan0'\nin_force=yes\n" in text
    assert "trying=egress\n" in text


@pytest.mark.parametrize(
    ("given", "in_force"),
    [
        pytest.param({}, "yes", id="as-loaded"),
        pytest.param({"now": "b"}, "''", id="changed"),
        pytest.param({"now": None}, "''", id="gone"),
    ],
)
def test_the_script_knows_whether_the_rules_are_in_force(
    given: dict[str, Any], in_force: str
) -> None:
    text = probe_script(
        firewalled(**given), HOST, no_reload="not now", declared=declaring(Egress())
    )

    assert f"\nin_force={in_force}\n" in text


def test_without_a_firewall_nothing_is_tried() -> None:
    never = probe_script(firewalled(now=None), HOST, no_reload="not now")
    undeclared = probe_script(firewalled(), HOST, no_reload="not now")

    assert "trying=''\n" in never
    assert "egress_sweeps()" not in never
    assert "trying=egress\ntries=''\n" in undeclared
    assert "egress_sweeps()" in undeclared
