"""``egress.rules`` on the real engine: tried, confirmed over a new connection, kept, taken off."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from pyinfra_gvisor.base.node_files import FoundFile
from pyinfra_gvisor.operations import egress as operations
from pyinfra_gvisor.parts.egress.files import CANDIDATE, LOAD, REVERT, RULES, SERVICE
from pyinfra_gvisor.parts.egress.rules import TABLE
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState
from tests.cases.fleet import Fleet
from tests.cases.guarded import BOTH_WAYS, KEPT, LOADED, PLAIN, PLAN, guarded, said
from tests.unit.egress_states import egress, found, planned, text_of

DENYING = {"deny": ["9.9.9.9"]}


def edited(path: str, text: str) -> EgressState:
    """The node with the default rules, on which somebody has written this file anew."""
    old = LOADED.files[path]
    file = FoundFile(
        sha256=hashlib.sha256(text.encode()).hexdigest(), mode=old.mode, owner=old.owner
    )
    rules = text if path == RULES else LOADED.rules
    return LOADED.model_copy(update={"files": {**LOADED.files, path: file}, "rules": rules})


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_rules_are_tried_and_then_confirmed_over_a_connection_that_is_new(prepare: bool) -> None:
    nodes = {"a": guarded(PLAIN, LOADED)}
    fleet = Fleet(nodes, prepare=prepare)

    meta = fleet.add(operations.rules, Egress())
    fleet.run()

    assert [(item.kind, item.anew) for item in nodes["a"].sent if item.kind != "state"] == [
        ("egress try", False),
        ("connect", True),
        ("egress confirm", True),
        ("disconnect", True),
    ]
    assert meta["a"].did_change()
    assert fleet.failed() == set()


def test_until_they_are_confirmed_the_rules_are_sent_to_where_no_boot_looks() -> None:
    nodes = {"a": guarded(PLAIN, LOADED)}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(operations.rules, Egress(confirm_s=45))
    fleet.run()

    tried, confirmed = nodes["a"].of("egress try"), nodes["a"].of("egress confirm")
    every = {item.path: (item.mode, item.text) for item in PLAN.files}
    assert set(every) == {RULES, LOAD, REVERT, SERVICE}
    assert confirmed.files == {path: every[path] for path in (LOAD, REVERT, SERVICE)}
    assert tried.files == {
        CANDIDATE: every[RULES],
        LOAD: every[LOAD],
        REVERT: every[REVERT],
    }
    assert "\noperation=egress.rules\nhost=@fake/a\nconfirm_s=45\n" in tried.words[0]
    assert "\noperation=egress.rules\nhost=@fake/a\n" in confirmed.words[0]


def test_sudo_goes_over_both_connections_and_with_what_takes_rules_back() -> None:
    nodes = {"good": guarded(PLAIN, LOADED), "bad": guarded(PLAIN, refuses="timed out")}
    fleet = Fleet(nodes)

    fleet.add(operations.rules, Egress(), _sudo=True)
    fleet.run()

    assert nodes["good"].acted() == KEPT
    assert nodes["bad"].acted() == ["egress try", "connect", "egress undo"]
    plain = {sent.kind for item in nodes.values() for sent in item.sent if not sent.sudo}
    assert plain == {"connect", "disconnect"}


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(
    ("wanted", "firewall"),
    [
        pytest.param(Egress(), LOADED, id="wanted-and-there"),
        pytest.param(Egress(confirm_s=600), LOADED, id="tried-otherwise"),
        pytest.param(None, PLAIN, id="not-wanted-and-not-there"),
    ],
)
def test_a_node_that_is_as_declared_is_left_so(
    wanted: Egress | None, firewall: EgressState, prepare: bool
) -> None:
    nodes = {"a": guarded(firewall)}
    fleet = Fleet(nodes, prepare=prepare)

    meta = fleet.add(operations.rules, wanted)
    fleet.run()

    assert nodes["a"].kinds() == ["state"]
    assert not meta["a"].did_change()


def test_what_was_read_before_the_rules_were_loaded_is_read_again() -> None:
    nodes = {"a": guarded(PLAIN, LOADED)}
    fleet = Fleet(nodes, prepare=False)

    fleet.add(operations.rules, Egress())
    again = fleet.add(operations.rules, Egress())
    fleet.run()

    assert nodes["a"].kinds() == ["state", *KEPT, "state"]
    assert not again["a"].did_change()


def test_a_dry_run_does_nothing_and_tells_the_plan_and_the_rules(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": guarded(found(nft=False, managers=("ufw",)))}

    meta = Fleet(nodes, DIFF=True).add(operations.rules, Egress())

    assert nodes["a"].kinds() == ["state"]
    assert meta["a"].will_change
    text = PLAN.texts[RULES][1] or ""
    assert said(caplog) == [
        "install nftables from the node's own apt",
        *PLAN.lines[:-1],
        "ufw is active and not changed: traffic that either firewall blocks stays blocked",
        PLAN.lines[-1],
        "--- /dev/null",
        f"+++ {RULES}",
        f"@@ -0,0 +1,{len(text.splitlines())} @@",
        *(f"+{line}" for line in text.splitlines()),
    ]


@pytest.mark.parametrize("prepare", BOTH_WAYS)
def test_other_rules_are_loaded_instead_and_the_difference_is_told_once(
    prepare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    plan = planned(LOADED, DENYING)
    nodes = {"a": guarded(LOADED)}
    fleet = Fleet(nodes, prepare=prepare, DIFF=True)

    fleet.add(operations.rules, egress(**DENYING))
    fleet.run()

    assert nodes["a"].acted() == KEPT
    assert nodes["a"].of("egress try").files[CANDIDATE] == ("644", text_of(**DENYING))
    lines = said(caplog)
    assert [lines.count(line) for line in plan.lines] == [1] * len(plan.lines)
    assert lines[0] == f"{RULES} is not as declared"
    assert lines.count("+\tcounter drop_deny { }") == 1
    assert [line for line in lines if line.startswith("-")] == [f"--- {RULES}"]


NO_TABLE = {"now": None}
CHANGED_TABLE = {"now": "0" * 64}
DISABLED = {"enabled": False}
STOPPED = {"unit": "inactive"}


@pytest.mark.parametrize("prepare", BOTH_WAYS)
@pytest.mark.parametrize(
    ("drifted", "line"),
    [
        pytest.param(NO_TABLE, f"the kernel has no table {TABLE}", id="table-gone"),
        pytest.param(
            CHANGED_TABLE, f"table {TABLE} was changed after it was loaded", id="table-changed"
        ),
        pytest.param(DISABLED, "pyinfra-gvisor-egress.service is not enabled", id="unit-disabled"),
        pytest.param(STOPPED, "pyinfra-gvisor-egress.service is inactive", id="unit-stopped"),
        pytest.param(edited(RULES, "by hand\n"), f"{RULES} is not as declared", id="rules-edited"),
        pytest.param(edited(LOAD, "true\n"), f"{LOAD} is not as declared", id="program-edited"),
        pytest.param(edited(SERVICE, "[Unit]\n"), f"{SERVICE} is not as declared", id="unit"),
    ],
)
def test_what_is_not_so_any_more_is_told_and_put_right(
    drifted: dict[str, Any] | EgressState,
    line: str,
    prepare: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    firewall = drifted if isinstance(drifted, EgressState) else LOADED.model_copy(update=drifted)
    nodes = {"a": guarded(firewall, LOADED)}
    fleet = Fleet(nodes, prepare=prepare)

    fleet.add(operations.rules, Egress())
    fleet.run()

    assert nodes["a"].acted() == KEPT
    assert nodes["a"].of("egress try").files[CANDIDATE] == ("644", LOADED.rules)
    assert set(nodes["a"].of("egress confirm").files) == {LOAD, REVERT, SERVICE}
    lines = said(caplog)
    assert lines[0] == line
    assert lines.count(line) == 1


def test_what_somebody_wrote_into_the_rules_is_shown_as_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": guarded(edited(RULES, f"{LOADED.rules}# by hand\n"))}

    Fleet(nodes, DIFF=True).add(operations.rules, Egress())

    lines = said(caplog)
    assert [line for line in lines if re.match(r"[-+]", line)] == [
        f"--- {RULES}",
        f"+++ {RULES}",
        "-# by hand",
    ]


@pytest.mark.parametrize(
    "firewall",
    [
        pytest.param(LOADED, id="whole"),
        pytest.param(found(now="0" * 64), id="a-table-that-is-left"),
        pytest.param(found(enabled=True), id="a-link-that-is-left"),
    ],
)
def test_a_firewall_that_is_not_wanted_is_taken_off_and_then_gone(
    firewall: EgressState, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": guarded(firewall, PLAIN)}
    fleet = Fleet(nodes, prepare=False)

    meta = fleet.add(operations.rules, None)
    again = fleet.add(operations.rules, None)
    fleet.run()

    assert nodes["a"].kinds() == ["state", "egress remove", "state"]
    assert said(caplog)[0] == f"delete table {TABLE}"
    assert (meta["a"].did_change(), again["a"].did_change()) == (True, False)


def test_dockers_own_resolvers_may_be_asked_wherever_they_are() -> None:
    nodes = {"a": guarded(PLAIN, given={"daemon_json": '{"dns": ["10.0.0.3"]}'})}
    fleet = Fleet(nodes)

    fleet.add(operations.rules, Egress())
    fleet.run()

    _, text = nodes["a"].of("egress try").files[CANDIDATE]
    assert text == text_of(dns=["10.0.0.3"])
