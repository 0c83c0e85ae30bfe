"""The deploy with ``gvisor_egress``: only where it has to be, and behind what it depends on."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.parts.egress.rules import TABLE
from pyinfra_gvisor.parts.egress.state import EgressState
from tests.cases.fleet import Fleet, Reply
from tests.cases.guarded import BOTH_WAYS, KEPT, LOADED, PLAIN, guarded, said
from tests.cases.proven import proven
from tests.unit.egress_states import found

ON: dict[str, Any] = {"gvisor_egress": {}, "gvisor_proof": "never"}
OFF: dict[str, Any] = {"gvisor_egress": None}
DENYING = {**ON, "gvisor_egress": {"deny": ["9.9.9.9"]}}


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(
    ("data", "firewall", "expected"),
    [
        pytest.param({}, PLAIN, [], id="neither-wanted-nor-there"),
        pytest.param(OFF, PLAIN, [], id="said-not-to-be-wanted"),
        pytest.param(ON, PLAIN, [*KEPT, "keeper"], id="wanted"),
        pytest.param(ON, LOADED, ["keeper"], id="wanted-and-there-without-a-keeper"),
        pytest.param(OFF, LOADED, ["egress remove"], id="not-wanted-any-more"),
        pytest.param(DENYING, LOADED, [*KEPT, "keeper"], id="changed"),
    ],
)
def test_the_deploy_has_a_firewall_as_the_data_say(
    data: dict[str, Any], firewall: EgressState, expected: list[str], prepare: bool
) -> None:
    nodes = {"a": guarded(firewall, given=proven(), data=data)}
    fleet = Fleet(nodes, prepare=prepare)

    fleet.deploy(run_node)
    fleet.run()

    assert nodes["a"].acted() == expected
    assert fleet.failed() == set()


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_rules_that_cannot_be_are_refused_before_anything_is_changed(
    prepare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"gvisor_egress": {"interfaces": ["eth*"]}}
    nodes = {"bad": guarded(PLAIN, data=data), "good": guarded(PLAIN, given=proven())}
    fleet = Fleet(nodes, prepare=prepare)

    fleet.deploy(run_node)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert set(nodes["bad"].kinds()) == {"state"}
    (refusal,) = said(caplog, "bad", level="ERROR")
    assert "got eth0" in refusal
    assert refusal.endswith("Nothing was changed.")


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_a_checkout_that_does_not_know_of_the_firewall_takes_nothing_away(
    prepare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = {
        "a": guarded(LOADED, given=proven()),
        "good": guarded(LOADED, given=proven(), data=ON),
    }
    fleet = Fleet(nodes, prepare=prepare)

    fleet.deploy(run_node)
    fleet.run()

    assert fleet.failed() == {"a"}
    assert nodes["a"].acted() == []
    (refusal,) = said(caplog, level="ERROR")
    assert refusal == (
        "preflight: node on @fake/a: gvisor_egress is not set, but the node has the egress "
        "firewall; set gvisor_egress, or write gvisor_egress = None to remove the egress "
        "firewall. Nothing was changed."
    )


def test_what_is_neither_wanted_nor_there_is_no_operation() -> None:
    counts = []
    for firewall in (PLAIN, LOADED):
        fleet = Fleet({"a": guarded(firewall, given=proven(), data=OFF)})
        fleet.deploy(run_node)
        counts.append(len(fleet.state.get_op_order()))

    assert counts[1] == counts[0] + 1


@pytest.mark.parametrize(
    ("failing", "acted"),
    [
        pytest.param({"egress try": Reply(ok=False)}, KEPT[:1], id="not-loaded"),
        pytest.param({"egress confirm": Reply(ok=False)}, [*KEPT, "egress undo"], id="not-kept"),
    ],
)
def test_behind_rules_that_are_not_in_force_nothing_is_proven(
    failing: dict[str, Reply], acted: list[str]
) -> None:
    data = {"gvisor_egress": {}}
    nodes = {
        "bad": guarded(PLAIN, given=proven(), data=data, replies=failing),
        "good": guarded(LOADED, given=proven(), data=OFF),
    }
    fleet = Fleet(nodes, prepare=False)

    fleet.deploy(run_node)
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == acted


@pytest.mark.parametrize(
    ("daemon_json", "refused"),
    [
        pytest.param({}, 0, id="hardened"),
        pytest.param({"userland-proxy": True, "userland-proxy-path": "/p"}, 1, id="to-stay"),
        pytest.param({"userland-proxy": None}, 1, id="left-alone"),
    ],
)
def test_a_forecast_counts_on_the_daemon_json_that_the_same_run_writes(
    daemon_json: dict[str, Any], refused: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    data = {**ON, "gvisor_daemon_json": daemon_json}
    nodes = {
        "a": guarded(found(published=("8080/tcp",)), data=data),
        "other": guarded(PLAIN, given=proven()),
    }

    Fleet(nodes, DIFF=True).deploy(run_node)

    assert nodes["a"].acted() == []
    errors = said(caplog, level="ERROR")
    assert [line for line in errors if "userland-proxy serves them" in line] == errors
    assert len(errors) == refused
    loading = [line for line in said(caplog) if line.startswith(f"load table {TABLE} ")]
    assert len(loading) == 1 - refused
