"""Every check of the proof can fail on its own, and what was not seen is never ok."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.proof.checks import CHECKS, CONTROL, Check, asked_of
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from pyinfra_gvisor.proof.verdict import judge, unproven
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.table import table
from tests.unit.proof.observations import NODE, RELEASE, RUNC, SANDBOX, output

HOST = {"runsc": Runtime(network="host")}
STRICTEST = {"runsc": Runtime(network="sandbox", dns="docker", hardening="strict", seal=Seal())}
IDS = [check.id for check in asked_of(Runtime())]
SIDES = {"runsc": (SANDBOX, RUNC), CONTROL: (RUNC, SANDBOX)}
DECIDED_BY = {"process-outside": "state", "release": "runs"}
"""What decides a check, if that is not what it shows."""
UNSEEN_KERNEL = ["kernel-inside", "build-kernel"]
WRONG_ON_BOTH_SIDES = {"dns-scope": NODE["beyond"], "dns-external": ""}
ANOTHER_CONTAINER = "172.19.0.9"

of_every_check_on_both_sides = pytest.mark.parametrize(
    ("check", "subject"),
    [pytest.param(item, side, id=f"{item.id}-{side}") for item in CHECKS for side in SIDES],
)
GARBAGE = ["", "\t", "garbage", "runsc", "runsc\tstart"]
DNS = tuple(check.id for check in CHECKS if check.id.startswith("dns"))
EGRESS = [check.id for check in CHECKS if check.id.startswith("egress-")]
STRICT = [check.id for check in CHECKS if check.hardening == "strict"]
TCP = ("tcp-to-peer", "tcp-from-peer", "published-port")


def not_proven(lines: list[str], runtimes: dict[str, Runtime] | None = None) -> list[str]:
    """The checks that failed."""
    return [item.check.id for item in judge(lines, RELEASE, runtimes or HOST) if not item.passed]


def asking(check: Check) -> dict[str, Runtime]:
    """A runtime that this check is about."""
    return HOST if check.id in IDS else STRICTEST


def test_what_a_good_node_shows_proves_every_check() -> None:
    verdicts = judge(output(), RELEASE, HOST)

    assert [verdict.check.id for verdict in verdicts] == IDS
    assert all(verdict.passed for verdict in verdicts)
    assert not_proven(output(), STRICTEST) == []


@of_every_check_on_both_sides
def test_what_the_other_side_has_to_show_fails_that_check_alone(check: Check, subject: str) -> None:
    key = DECIDED_BY.get(check.id, check.observed)
    own, others = (side[key] for side in SIDES[subject])
    wrong = others if others != own else WRONG_ON_BOTH_SIDES.get(check.id, ANOTHER_CONTAINER)

    assert not_proven(output(**{subject: {key: wrong}}), asking(check)) == [check.id]


@table("nothing", missing=None, empty="")
@of_every_check_on_both_sides
def test_what_was_not_seen_is_not_proven(check: Check, subject: str, nothing: str | None) -> None:
    assert not_proven(output(**{subject: {check.observed: nothing}}), asking(check)) == [check.id]


@table(
    "failed, changes",
    like_gvisors=(["kernel-inside"], {"runsc": {"kernel_version": f"{GVISOR_KERNEL} x"}}),
    an_early_release_of_gvisors=([], {"runsc": {"kernel_release": "4.4.0"}}),
    a_late_one_that_nobody_knows=([], {"runsc": {"kernel_release": "6.1.0-gvisor"}}),
    nobody_knows_the_kernel_either=(
        ["kernel-inside", "kernel-release"],
        {"runsc": {"kernel_version": "#1 SMP another", "kernel_release": "6.1.0-gvisor"}},
    ),
    another_kernels_log=(["dmesg"], {"runsc": {"dmesg": "another kernel's"}}),
    nobody_knows_what_it_is=(["process-outside"], {"runsc": {"state": "unknown"}}),
    nobody_knows_what_runc_is=(["process-outside"], {"runc": {"state": "unknown"}}),
    a_longer_release=(["release"], {"runsc": {"runs": f"{RELEASE}1"}}),
    a_garbled_release=(["release"], {"runsc": {"runs": "\u2028\x00"}}),
    not_the_given_address=(["address"], {"runsc": {"given_address": ANOTHER_CONTAINER}}),
    outside_the_subnet=(
        ["address"],
        {"runsc": {"address": "10.0.0.1", "given_address": "10.0.0.1"}},
    ),
    no_given_address=(["address"], {"runsc": {"given_address": None}}),
    no_address_at_all=(["address"], {"runsc": {"address": "x", "given_address": "x"}}),
    the_nodes_address=(["address"], {"node": {"addresses": "172.19.0.3 192.0.2.7"}}),
    no_addresses_of_the_node=(["address"], {"node": {"addresses": ""}}),
    unseen_addresses=(["address"], {"node": {"addresses": None}}),
    no_subnet=(["address"], {"node": {"subnet": ""}}),
    unseen_subnet=(["address"], {"node": {"subnet": None}}),
    two_subnets=(["address"], {"node": {"subnet": "172.19.0.0/16fd00::/64"}}),
    garbage_for_a_subnet=(["address"], {"node": {"subnet": "garbage"}}),
    garbage_for_a_name=(["dns-scope"], {"runsc": {"dns_scope": "no such command"}}),
    nobody_answers=([], {side: {"dns_scope": "no answer"} for side in SIDES}),
    somebody_outside=([], {side: {"dns_scope": "203.0.113.7"} for side in SIDES}),
    nobody_has_that_name=(["dns-scope"], {"node": {"beyond": ""}}),
    unknown_to_docker=(["dns-scope"], {"node": {"beyond": "unknown"}}),
    no_such_container=(["dns-scope"], {"node": {"beyond": "Error: no such container"}}),
    unseen_name=(["dns-scope"], {"node": {"beyond": None}}),
    unseen_peer=(["dns", "dns-alias"], {"node": {"peer_address": None}}),
    unseen_kernel=(UNSEEN_KERNEL, {"node": {"kernel_version": None}}),
    unseen_release=(["kernel-release"], {"node": {"kernel_release": None}}),
    no_kernel_anywhere=(
        UNSEEN_KERNEL,
        {"node": {"kernel_version": None}, "runc": {"kernel_version": None}},
    ),
    allowed_by_no_rule_in_force=(
        ["egress-allowed"],
        {"runsc": {"egress_allowed": "not in force, connected"}},
    ),
    more_than_the_answer=(["exec"], {"runsc": {"exec": "answer 42 and more"}}),
)
def test_only_what_has_to_be_seen_proves_a_check(
    failed: list[str], changes: dict[str, dict[str, str | None]]
) -> None:
    assert not_proven(output(**changes)) == failed


@table("seen", missing=None, empty="")
def test_a_name_that_nobody_resolved_is_not_proven_by_a_peer_without_one(seen: str | None) -> None:
    both = {subject: {"dns_peer": seen} for subject in SIDES}

    assert "dns" in not_proven(output(**both, node={"peer_address": seen}))


@table("lines", no_output=[], garbage=GARBAGE, only_the_node=output()[:3])
def test_without_output_nothing_is_proven_nor_accepted(lines: list[str]) -> None:
    risky = Runtime(flags=("--net-raw",), reason="our own ping monitors")

    assert (not_proven(lines), unproven(judge(lines, RELEASE, HOST))) == (IDS, sorted(IDS))
    assert {item.word for item in judge(lines, RELEASE, {"runsc": risky})} == {"NOT PROVEN"}


@table("subject", sandbox="runsc", control=CONTROL)
def test_if_one_side_did_not_start_nothing_is_proven_and_that_is_shown(subject: str) -> None:
    others = [line for line in output() if not line.startswith(f"{subject}\t")]

    verdicts = judge([*others, f"{subject}\tstart\tunknown runtime"], RELEASE, HOST)

    assert not any(verdict.passed for verdict in verdicts)
    side = [item.seen if subject == "runsc" else item.control for item in verdicts]
    assert set(side) == {"did not start"}


def test_every_runtime_is_judged_on_what_it_showed_itself() -> None:
    bad = {**SANDBOX, "asked": "other", "raw_socket": "allowed"}
    lines = [*output(), *(f"other\t{key}\t{value}" for key, value in bad.items())]

    verdicts = judge(lines, RELEASE, {**HOST, "other": Runtime()})

    failed = [(item.runtime, item.check.id) for item in verdicts if not item.passed]
    assert failed == [("other", "raw-socket")]


@pytest.mark.parametrize("check", asked_of(Runtime()), ids=lambda check: check.id)
def test_only_a_check_that_says_when_may_be_left_out_and_it_is_never_ok(check: Check) -> None:
    unseen = output(runsc={check.observed: None})

    verdicts = judge(unseen, RELEASE, HOST, skipped={check.id: "not here"})

    (verdict,) = (item for item in verdicts if item.check is check)
    assert verdict.word == ("n/a" if check.unless else "NOT PROVEN")
    assert not verdict.passed
    assert unproven(verdicts) == ([] if check.unless else [check.id])


@table(
    "default, asked, control, failed",
    both_ask_for_none=("gvisordefault", "gvisordefault", "gvisordefault", []),
    by_name=("gvisordefault", "runc", "gvisordefault", ["runtime"]),
    control_by_name=("gvisordefault", "gvisordefault", "runc", ["runtime"]),
    no_default=(None, "gvisordefault", "runc", []),
    control_by_default=(None, "gvisordefault", "gvisordefault", ["runtime"]),
)
def test_where_a_runtime_is_the_default_neither_side_may_ask_for_one(
    default: str | None, asked: str, control: str, failed: list[str]
) -> None:
    seen = {"runsc": {"asked": asked}, CONTROL: {"asked": control}, "node": {"default": default}}
    lines = [line.replace("runsc\t", "gvisordefault\t", 1) for line in output(**seen)]

    assert not_proven(lines, {"gvisordefault": Runtime()}) == failed


@table(
    "runtime, left_out",
    hostinet=({"network": "host"}, {"own-stack"}),
    netstack_without_dockers_dns=({"network": "sandbox"}, set(DNS)),
    netstack_with_it=({"network": "sandbox", "dns": "docker"}, set()),
    no_network=({"network": "none"}, {*DNS, "address", "own-stack", *TCP, *EGRESS}),
)
def test_a_runtime_is_asked_what_it_can_show(runtime: dict[str, str], left_out: set[str]) -> None:
    runtimes = {"runsc": Runtime.model_validate(runtime)}

    verdicts = judge(output(), RELEASE, runtimes)

    left_out = left_out | {*STRICT, "seal"}
    assert {verdict.check.id for verdict in verdicts} == {check.id for check in CHECKS} - left_out


@table(
    "seal, asked",
    no_seal=(None, False),
    seal=(Seal(), True),
    other_directories=(Seal(binds=("/srv",)), True),
    less_than_the_probes_mount=(Seal(binds=("/usr/share",)), True),
    what_they_mount=(Seal(binds=("/usr",), reason="for this test"), False),
    everything=(Seal(binds=("/",), reason="for this test"), False),
)
def test_only_a_seal_that_refuses_the_probes_is_asked_for(seal: Seal | None, asked: bool) -> None:
    verdicts = judge(output(), RELEASE, {"runsc": Runtime(seal=seal)})

    assert [item.word for item in verdicts if item.check.id == "seal"] == ["ok"] * asked


def test_strict_is_not_asked_for_what_dockers_filter_refuses() -> None:
    lines = output(runsc={"dmesg": "refused"})

    assert not_proven(lines, {"runsc": Runtime(hardening="strict")}) == []
    assert not_proven(lines, {"runsc": Runtime()}) == ["dmesg"]
