"""The firewall on the real engine: tried, confirmed over a new connection, kept, taken off."""

from typing import Any

import pytest
from paramiko import SSHException

from pyinfra_gvisor.deploys.gvisor import run_node
from pyinfra_gvisor.operations import egress as operations
from pyinfra_gvisor.parts.egress.files import CANDIDATE, LOAD, MEMBERS, REVERT, RULES
from pyinfra_gvisor.parts.egress.rules import TABLE
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState, Ssh
from tests.arguments import Data, Log
from tests.cases.fleet import Fleet, Node, Reply, done_by
from tests.cases.guarded import KEPT, LOADED, PLAIN, PLAN, guarded, said
from tests.cases.kept import changed
from tests.cases.proven import proven
from tests.table import table
from tests.unit.egress.egress_states import egress, found, planned, text_of

DENYING = {"deny": ["9.9.9.9"]}
WAYS = [(kind, kind != "egress try") for kind in KEPT]  # all but the first over a new connection


def ways(item: Node) -> list[tuple[str, bool]]:
    """What was done on a host, and whether over the new connection."""
    return [(sent.kind, sent.anew) for sent in item.sent if sent.kind != "state"]


def test_until_they_are_confirmed_the_rules_are_sent_to_where_no_boot_looks() -> None:
    nodes = {"a": guarded(PLAIN, LOADED)}
    own = guarded(PLAIN, given={"daemon_json": '{"dns": ["10.0.0.3"]}'})

    Fleet(nodes, prepare=False).done(operations.rules, Egress(confirm_s=45))
    Fleet({"a": own}).done(operations.rules, Egress())

    tried, confirmed = nodes["a"].of("egress try"), nodes["a"].of("egress confirm")
    every = {item.path: (item.mode, item.text) for item in PLAN.files}
    programs = {path: every[path] for path in (MEMBERS, LOAD, REVERT)}
    assert confirmed.files == {path: item for path, item in every.items() if path != RULES}
    assert tried.files == {CANDIDATE: every[RULES], **programs}
    assert "\noperation=egress.rules\nhost=@fake/a\nconfirm_s=45\n" in tried.words[0]
    assert "\noperation=egress.rules\nhost=@fake/a\n" in confirmed.words[0]
    asked = text_of(dns=["10.0.0.3"])
    assert own.of("egress try").files[CANDIDATE][1] == asked, "Docker's own resolvers"


def test_other_rules_are_loaded_instead_and_the_difference_is_told_once(caplog: Log) -> None:
    plan = planned(LOADED, DENYING)
    nodes = {"a": guarded(LOADED)}

    Fleet(nodes, DIFF=True).done(operations.rules, egress(**DENYING))

    assert nodes["a"].acted() == KEPT
    assert nodes["a"].of("egress try").files[CANDIDATE] == ("644", text_of(**DENYING))
    lines = said(caplog)
    assert [lines.count(line) for line in plan.lines] == [1] * len(plan.lines)
    assert lines[0] == f"{RULES} is not as declared"
    assert lines.count("+\tcounter drop_deny { }") == 1
    assert [line for line in lines if line.startswith("-")] == [f"--- {RULES}"]


@pytest.mark.parametrize("verbose", [False, True])
def test_of_a_long_new_file_the_lines_are_shown_to_who_asks_for_more(
    caplog: Log, verbose: bool
) -> None:
    fleet = Fleet({"a": guarded(PLAIN, LOADED)}, DIFF=True)
    fleet.state.print_noop_info = verbose

    fleet.done(operations.rules, Egress())

    lines, rules = said(caplog), text_of().splitlines()
    short = f"+++ {RULES}: a new file of {len(rules)} lines, which -v shows"
    assert (short in lines) is not verbose
    assert ({f"+{line}" for line in rules} <= {*lines}) is verbose


def test_a_firewall_that_is_not_wanted_is_taken_off_and_then_gone(caplog: Log) -> None:
    nodes = {"a": guarded(LOADED, PLAIN)}
    fleet = Fleet(nodes, prepare=False)

    meta = fleet.add(operations.rules, None)
    again = fleet.add(operations.rules, None)
    fleet.run()

    assert nodes["a"].kinds() == ["state", "egress remove", "state"]
    assert said(caplog)[0] == f"delete table {TABLE}"
    assert "egress.rules: remove" in nodes["a"].of("egress remove").words[0]
    assert (meta["a"].did_change(), again["a"].did_change()) == (True, False)


WHERE = f"egress.rules: {RULES} on @fake/bad: "
WAY_OUT = (
    "the interface connects this node to its network; filtering it like a container interface "
    "would cut published ports and other services of the node, got eth0"
)
WAY_IN = (
    "the rules would cut this SSH connection: it comes from 172.18.0.5 over a container interface, "
    "got docker0"
)
PUBLISHED = (
    "containers could no longer reach published ports of this node: dockerd's userland-proxy "
    "serves them, and counts as the node itself, got 8080/tcp"
)
SERVING = found(published=("8080/tcp",))


def test_rules_that_would_lock_out_are_not_sent_and_the_other_host_has_them(caplog: Log) -> None:
    nodes = {"bad": guarded(PLAIN), "good": guarded(found(uplinks=("ens3",)))}

    fleet = Fleet(nodes).done(operations.rules, egress(interfaces=["eth*"]))

    assert fleet.failed() == {"bad"}
    assert set(nodes["bad"].kinds()) == {"state"}
    assert nodes["good"].acted() == KEPT
    todo = "remove it from gvisor_egress['interfaces']"
    assert f"{WHERE}{WAY_OUT}; {todo}" in said(caplog, "bad", level="ERROR")


def test_with_a_reason_they_are_tried_all_the_same_and_every_risk_is_told_once(caplog: Log) -> None:
    ssh = Ssh(client="172.18.0.5", port=22, interface="docker0")
    nodes = {"a": guarded(found(published=("8080/tcp",), ssh=ssh))}
    reason = "to see in a test what comes of it"

    fleet = Fleet(nodes).done(operations.rules, Egress(force=reason))

    assert nodes["a"].acted() == KEPT
    assert said(caplog, level="WARNING") == [
        f"RISK ACCEPTED: {text}. Reason given: {reason}" for text in (WAY_IN, PUBLISHED)
    ]
    assert fleet.failed() == set()


def test_what_is_meant_counts_for_nothing_where_dockerd_still_has_its_proxy(caplog: Log) -> None:
    off = {"userland-proxy": False}
    nodes = {
        "bad": guarded(SERVING, given=changed({}, off, restart="reload")),
        "good": guarded(SERVING, given=changed({}, off)),
    }

    fleet = Fleet(nodes).done(operations.rules, Egress(), userland_proxy=False)

    assert fleet.failed() == {"bad"}
    assert (nodes["bad"].acted(), nodes["good"].acted()) == ([], KEPT)
    assert said(caplog, "bad", level="ERROR")[0].startswith(f"{WHERE}{PUBLISHED}; ")


REFUSED = f"egress.rules: {CANDIDATE} on @fake/bad: nft refuses the rules: bad; nothing was loaded"
BY_ITSELF = "the node rolls back rules that are not confirmed"


@table(
    "reply, first",
    refused=(Reply(ok=False, stderr=["of apt", REFUSED]), ["of apt", REFUSED]),
    cut_off=(
        Reply(broken=TimeoutError("timed out")),
        [f"the connection broke (timed out); {BY_ITSELF}"],
    ),
)
def test_rules_that_were_not_loaded_are_left(reply: Reply, first: list[str], caplog: Log) -> None:
    nodes = {"bad": guarded(PLAIN, replies={"egress try": reply}), "good": guarded(PLAIN)}

    fleet = Fleet(nodes, prepare=False).done(operations.rules, Egress())

    assert fleet.failed() == {"bad"}
    assert (nodes["bad"].acted(), nodes["good"].acted()) == (["egress try"], KEPT)
    assert said(caplog, "bad", level="ERROR")[: len(first)] == first


LEFT = "the node rolls back rules that are not confirmed within 45 s"
UNDONE = "the previous rules are active again"


LATE = f"{WHERE}the new rules were rolled back before they were confirmed; raise confirm_s"
ANEW = f"{WHERE}a new connection failed under the new rules (Could not connect (timed out)); "
FAILED = f"{WHERE}confirming the new rules failed; {UNDONE}"


@table(
    "kind, reply, first",
    undone=("egress undo", Reply(), [f"{ANEW}{UNDONE}"]),
    not_undone=("egress undo", Reply(ok=False), [f"{ANEW}{LEFT}"]),
    cut_off=("egress undo", Reply(broken=SSHException("SSH is not active")), [f"{ANEW}{LEFT}"]),
    late=("egress confirm", Reply(ok=False, stderr=[LATE]), [LATE, FAILED]),
    reset=(
        *("egress confirm", Reply(broken=ConnectionResetError("reset by peer"))),
        [f"the connection broke (reset by peer); {BY_ITSELF}", FAILED],
    ),
    closed=(
        *("egress confirm", Reply(broken=EOFError())),
        [f"the connection broke (EOFError); {BY_ITSELF}", FAILED],
    ),
)
def test_rules_are_undone_if_nobody_gets_in_anew_or_they_are_not_confirmed(
    kind: str, reply: Reply, first: list[str], caplog: Log
) -> None:
    gets_in = kind == "egress confirm"
    refuses = "" if gets_in else "Could not connect (timed out)"
    bad = guarded(PLAIN, replies={kind: reply}, refuses=refuses)
    nodes = {"bad": bad, "good": guarded(PLAIN)}

    fleet = Fleet(nodes, prepare=False).done(operations.rules, Egress(confirm_s=45), _sudo=True)

    assert fleet.failed() == {"bad"}
    assert ways(bad) == [*(WAYS if gets_in else WAYS[:2]), ("egress undo", False)]
    new = {"connect", "disconnect"} if gets_in else {"connect"}
    assert {sent.kind for sent in bad.sent if not sent.sudo} == new
    assert said(caplog, "bad", level="ERROR")[: len(first)] == first


ON: dict[str, Any] = {"gvisor_egress": {}, "gvisor_proof": "never"}
OFF: dict[str, Any] = {"gvisor_egress": None}
OTHER = {**ON, "gvisor_egress": DENYING}


@table(
    "data, firewall, expected",
    neither_wanted_nor_there=({}, PLAIN, []),
    said_not_to_be_wanted=(OFF, PLAIN, []),
    wanted=(ON, PLAIN, [*KEPT, "keeper"]),
    wanted_and_there_without_a_keeper=(ON, LOADED, ["keeper"]),
    not_wanted_any_more=(OFF, LOADED, ["egress remove"]),
    changed=(OTHER, LOADED, [*KEPT, "keeper"]),
)
def test_a_deploy_has_the_firewall_declared(
    data: Data, firewall: EgressState, expected: list[str]
) -> None:
    fleet = Fleet({"a": guarded(firewall, given=proven(), data=data)})
    without = Fleet({"a": guarded(PLAIN, given=proven(), data=OFF)})
    for each in (fleet, without):
        each.deploy(run_node)
    count, least = (len(each.state.get_op_order()) for each in (fleet, without))

    item = guarded(firewall, given=proven(), data=data)
    assert done_by(run_node, item) == expected
    assert (count > least) is bool(expected), "what is neither wanted nor there is no operation"


@table(
    "bad, begins, ends",
    rules_that_cannot_be=(
        guarded(PLAIN, data={"gvisor_egress": {"interfaces": ["eth*"]}}),
        *("preflight: ", "got eth0; remove it from gvisor_egress['interfaces']"),
    ),
    a_checkout_that_does_not_know_of_the_firewall=(
        guarded(LOADED, given=proven()),
        (
            "preflight: node on @fake/bad: gvisor_egress is not set, but the node has the egress "
            "firewall; "
        ),
        "set gvisor_egress, or write gvisor_egress = None to remove the egress firewall",
    ),
)
def test_the_deploy_refuses_before_anything_is_changed_or_taken_away(
    bad: Node, begins: str, ends: str, caplog: Log
) -> None:
    nodes = {"bad": bad, "good": guarded(LOADED, given=proven(), data=ON)}

    fleet = Fleet(nodes).deployed(run_node)

    assert fleet.failed() == {"bad"}
    assert set(bad.kinds()) == {"state"}
    (refusal,) = said(caplog, "bad", level="ERROR")
    assert refusal.startswith(begins)
    assert refusal.endswith(f"{ends}. Nothing was changed.")


@table(
    "failing, acted",
    not_loaded=({"egress try": Reply(ok=False)}, KEPT[:1]),
    not_kept=({"egress confirm": Reply(ok=False)}, [*KEPT, "egress undo"]),
)
def test_behind_rules_not_in_force_is_no_proof(failing: dict[str, Reply], acted: list[str]) -> None:
    data = {"gvisor_egress": {}}
    nodes = {
        "bad": guarded(PLAIN, given=proven(), data=data, replies=failing),
        "good": guarded(LOADED, given=proven(), data=OFF),
    }

    fleet = Fleet(nodes, prepare=False).deployed(run_node)

    assert fleet.failed() == {"bad"}
    assert nodes["bad"].acted() == acted


@table(
    "daemon_json, refused",
    hardened=({}, 0),
    to_stay=({"userland-proxy": True, "userland-proxy-path": "/p"}, 1),
    left_alone=({"userland-proxy": None}, 1),
)
def test_a_plan_counts_on_daemon_json_to_come(daemon_json: Data, refused: int, caplog: Log) -> None:
    data = {**ON, "gvisor_daemon_json": daemon_json}
    nodes = {"a": guarded(SERVING, data=data), "other": guarded(PLAIN, given=proven())}

    Fleet(nodes, DIFF=True).deploy(run_node)

    assert nodes["a"].acted() == []
    errors = said(caplog, level="ERROR")
    assert [line for line in errors if "userland-proxy serves them" in line] == errors
    assert len(errors) == refused
    loading = [line for line in said(caplog) if line.startswith(f"load table {TABLE} ")]
    assert len(loading) == 1 - refused
