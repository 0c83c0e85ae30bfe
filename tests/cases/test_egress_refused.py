"""``egress.rules`` where the rules would cut what must not be cut: refused, or a risk accepted."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.operations import egress as operations
from pyinfra_gvisor.parts.egress.files import RULES
from pyinfra_gvisor.parts.egress.rules import TABLE
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState, Ssh
from tests.cases.fleet import Fleet
from tests.cases.guarded import BOTH_WAYS, KEPT, PLAIN, guarded, said
from tests.cases.kept import changed
from tests.unit.egress_states import egress, found

REASON = "to see in a test what comes of it"
WHERE = f"egress.rules: {RULES} on @fake/bad: "
OTHER_WAY_OUT = found(uplinks=("ens3",))

WAY_OUT = (
    "the interface connects this node to its network; filtering it like a container interface "
    "would cut published ports and other services of the node, got eth0"
)
WAY_IN = (
    "the rules would cut this SSH connection: it comes from 172.18.0.5 over a container interface, "
    "got docker0"
)
RESOLVER = "the rules would block a resolver that Docker's DNS uses, got 10.0.0.2"
PUBLISHED = (
    "containers could no longer reach published ports of this node: dockerd's userland-proxy "
    "serves them, and counts as the node itself, got 8080/tcp"
)
TODO = {
    WAY_OUT: "remove it from gvisor_egress['interfaces']",
    WAY_IN: "add '22' to gvisor_egress['node_ports']; if the interface connects no containers, "
    "add it to gvisor_egress['exclude'] instead",
    RESOLVER: "remove gvisor_egress['dns'], or add the resolver to it",
    PUBLISHED: 'set gvisor_daemon_json = {"userland-proxy": False}, or add these ports to '
    "gvisor_egress['node_ports']",
}
SSH = Ssh(client="172.18.0.5", port=22, interface="docker0")
SERVING = found(published=("8080/tcp",))
LOCKED_OUT = [
    pytest.param(PLAIN, {"interfaces": ["eth*"]}, WAY_OUT, id="way-out"),
    pytest.param(found(ssh=SSH), {}, WAY_IN, id="way-in"),
    pytest.param(found(resolvers=("10.0.0.2",)), {"dns": []}, RESOLVER, id="resolver"),
    pytest.param(SERVING, {}, PUBLISHED, id="published-port"),
]


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(("firewall", "settings", "reason"), LOCKED_OUT)
def test_rules_that_would_lock_out_are_not_sent_and_the_other_host_has_them(
    firewall: EgressState,
    settings: dict[str, Any],
    reason: str,
    prepare: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = {"bad": guarded(firewall), "good": guarded(OTHER_WAY_OUT)}
    fleet = Fleet(nodes, prepare=prepare)

    fleet.add(operations.rules, egress(**settings))
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert set(nodes["bad"].kinds()) == {"state"}
    assert nodes["good"].acted() == KEPT
    assert f"{WHERE}{reason}; {TODO[reason]}" in said(caplog, "bad", level="ERROR")


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(("firewall", "settings", "reason"), LOCKED_OUT)
def test_with_a_reason_they_are_tried_all_the_same_and_the_risk_is_told_once(
    firewall: EgressState,
    settings: dict[str, Any],
    reason: str,
    prepare: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = {"a": guarded(firewall)}
    fleet = Fleet(nodes, prepare=prepare)

    fleet.add(operations.rules, egress(**settings, force=REASON))
    fleet.run()

    assert nodes["a"].acted() == KEPT
    risk = f"RISK ACCEPTED: {reason}. Reason given: {REASON}"
    assert said(caplog, level="WARNING") == [risk]
    assert fleet.failed() == set()


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_every_risk_that_is_accepted_is_told(
    prepare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = Fleet({"a": guarded(found(published=("8080/tcp",), ssh=SSH))}, prepare=prepare)

    fleet.add(operations.rules, Egress(force=REASON))
    fleet.run()

    assert said(caplog, level="WARNING") == [
        f"RISK ACCEPTED: {text}. Reason given: {REASON}" for text in (WAY_IN, PUBLISHED)
    ]


def test_a_resolver_that_daemon_json_names_is_not_cut_either(
    caplog: pytest.LogCaptureFixture,
) -> None:
    naming = {"daemon_json": '{"dns": ["10.0.0.2"]}'}
    nodes = {"bad": guarded(PLAIN, given=naming), "good": guarded(PLAIN)}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(operations.rules, Egress(dns=()))
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert (nodes["bad"].acted(), nodes["good"].acted()) == ([], KEPT)
    assert f"{WHERE}{RESOLVER}; {TODO[RESOLVER]}" in said(caplog, "bad", level="ERROR")


@pytest.mark.parametrize("force", [pytest.param(None, id="?"), pytest.param(REASON, id="forced")])
def test_without_systemd_there_is_no_firewall_and_no_reason_helps(
    force: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = {"bad": guarded(PLAIN, given={"init": "init"}), "good": guarded(PLAIN)}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(operations.rules, Egress(force=force))
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert (nodes["bad"].acted(), nodes["good"].acted()) == ([], KEPT)
    assert (
        f"{WHERE}the egress firewall needs systemd on the node, got init; remove gvisor_egress "
        "for this node, and use another firewall there"
    ) in said(caplog, "bad", level="ERROR")


PROXY = {"userland-proxy": False}


@pytest.mark.parametrize(
    ("userland_proxy", "refused"),
    [
        pytest.param(False, 0, id="about-to-go"),
        pytest.param(True, 1, id="to-stay"),
    ],
)
def test_a_forecast_refuses_ports_of_a_proxy_only_if_it_is_to_stay(
    userland_proxy: bool, refused: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    Fleet({"bad": guarded(SERVING)}).add(operations.rules, Egress(), userland_proxy=userland_proxy)

    assert caplog.text.count(f"{WHERE}{PUBLISHED}") == refused
    assert caplog.text.count(f"load table {TABLE} ") == 1 - refused


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_what_is_meant_counts_for_nothing_where_dockerd_still_has_its_proxy(
    prepare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    owing = changed({}, PROXY, restart="reload")
    nodes = {
        "bad": guarded(SERVING, given=owing),
        "good": guarded(SERVING, given=changed({}, PROXY)),
    }
    fleet = Fleet(nodes, prepare=prepare)

    fleet.add(operations.rules, Egress(), userland_proxy=False)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert (nodes["bad"].acted(), nodes["good"].acted()) == ([], KEPT)
    assert said(caplog, "bad", level="ERROR")[0] == f"{WHERE}{PUBLISHED}; {TODO[PUBLISHED]}"
