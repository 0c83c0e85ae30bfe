"""Every check of the proof can fail on its own, and what was not seen is never ok."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.proof.checks import CHECKS, CONTROL, Check, asked_of
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from pyinfra_gvisor.proof.verdict import judge, unproven
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.table import table
from tests.unit.proof.observations import DEBIAN_KERNEL, NODE, RELEASE, SANDBOX, output

HOST = {"runsc": Runtime(network="host")}
IDS = [check.id for check in asked_of(Runtime())]


def not_proven(lines: list[str], runtimes: dict[str, Runtime] | None = None) -> list[str]:
    """The checks that failed."""
    return [item.check.id for item in judge(lines, RELEASE, runtimes or HOST) if not item.passed]


def test_what_a_good_node_shows_proves_every_check() -> None:
    verdicts = judge(output(), RELEASE, HOST)

    assert [verdict.check.id for verdict in verdicts] == IDS
    assert all(verdict.passed for verdict in verdicts)


@table(
    "check, key, value",
    {
        "hosts-kernel": ("kernel-inside", "kernel_version", DEBIAN_KERNEL),
        "like-gvisors": ("kernel-inside", "kernel_version", GVISOR_KERNEL + " x"),
        "hosts-release": ("kernel-release", "kernel_release", NODE["kernel_release"]),
        "hosts-log": ("dmesg", "dmesg", "another kernel's"),
        "no-log": ("dmesg", "dmesg", "refused"),
        "no-sandbox-outside": ("process-outside", "state", "bare"),
        "nobody-knows-what-it-is": ("process-outside", "state", "unknown"),
        "another-runsc": ("release", "runs", ""),
        "another-release": ("release", "runs", "20240729.0"),
        "longer-name": ("release", "runs", f"{RELEASE}1"),
        "another-runtime": ("runtime", "asked", "runc"),
        "another-peer": ("dns", "dns_peer", "172.19.0.9"),
        "anothers-alias": ("dns-alias", "dns_alias", "172.19.0.9"),
        "a-name-of-another-network": ("dns-scope", "dns_scope", NODE["beyond"]),
        "garbage-for-a-name": ("dns-scope", "dns_scope", "no such command"),
        "restarted": ("dns-restart", "dns_restart", "unknown, not 172.19.0.2"),
        "the-hosts-address": ("address", "address", "10.0.0.1"),
        "not-the-given-address": ("address", "given_address", "172.19.0.9"),
        "no-way-out": ("tcp-to-peer", "tcp_to_peer", "Connection refused"),
        "no-way-in": ("tcp-from-peer", "tcp_from_peer", "Connection refused"),
        "another-answers": ("published-port", "published", "another word"),
        "allowed-and-not-reached": ("egress-allowed", "egress_allowed", "refused"),
        "raw-socket": ("raw-socket", "raw_socket", "allowed"),
        "packet-socket": ("packet-socket", "packet_socket", "allowed"),
        "docker-socket": ("docker-socket", "docker_socket", "allowed"),
        "setuid": ("no-new-privs", "no_new_privs", "became root"),
        "no-limit": ("memory-limit", "memory_limit", "none"),
        "another-limit": ("memory-limit", "memory_limit", "268435456"),
        "wrong-answer": ("exec", "exec", "answer 41"),
        "more-than-the-answer": ("exec", "exec", "answer 42 and more"),
        "no-log-line": ("logs", "logs", "another line"),
        "lost-by-reload": ("reload", "reload", "it is another process"),
        "killed": ("stop", "stop", "exited 137"),
        "not-stopped": ("stop", "stop", "running 0"),
    },
)
def test_a_sandbox_that_shows_something_else_fails_that_check_and_no_other(
    check: str, key: str, value: str
) -> None:
    assert not_proven(output(runsc={key: value})) == [check]


@table(
    "version, release, proves",
    {
        "early": (GVISOR_KERNEL, "4.4.0", True),
        "late": (GVISOR_KERNEL, "4.19.0-gvisor", True),
        "not-known-yet": (GVISOR_KERNEL, "6.1.0-gvisor", True),
        "nobody-knows": ("#1 SMP another", "6.1.0-gvisor", False),
        "the-nodes": (GVISOR_KERNEL, NODE["kernel_release"], False),
    },
)
def test_a_kernel_release_is_a_known_one_or_comes_with_gvisors_version(
    version: str, release: str, proves: bool
) -> None:
    seen: dict[str, str | None] = {"kernel_version": version, "kernel_release": release}

    assert ("kernel-release" not in not_proven(output(runsc=seen))) is proves


@table("addresses", {"the-nodes": "172.19.0.3 192.0.2.7", "not-known": ""})
def test_an_address_of_the_nodes_own_proves_nothing(addresses: str) -> None:
    assert not_proven(output(node={"addresses": addresses})) == ["address"]


@table(
    "check, key, value",
    {
        "gvisors-kernel": ("kernel-inside", "kernel_version", GVISOR_KERNEL),
        "gvisors-release": ("kernel-release", "kernel_release", "4.4.0"),
        "gvisors-log": ("dmesg", "dmesg", "Starting gVisor"),
        "a-sandbox-outside": ("process-outside", "state", "sandboxed"),
        "unknown-outside": ("process-outside", "state", "unknown"),
        "of-a-release": ("release", "runs", RELEASE),
        "asked-for-runsc": ("runtime", "asked", "runsc"),
        "no-name": ("dns", "dns_peer", ""),
        "no-alias": ("dns-alias", "dns_alias", "unknown"),
        "a-name-of-another-network": ("dns-scope", "dns_scope", NODE["beyond"]),
        "restarted": ("dns-restart", "dns_restart", "no answer"),
        "no-external-name": ("dns-external", "dns_external", ""),
        "another-address": ("address", "address", "172.19.0.9"),
        "no-way-out": ("tcp-to-peer", "tcp_to_peer", "refused"),
        "no-way-in": ("tcp-from-peer", "tcp_from_peer", "refused"),
        "no-published-port": ("published-port", "published", "refused"),
        "nothing-answers": ("egress-allowed", "egress_allowed", "no answer"),
        "raw-socket-refused": ("raw-socket", "raw_socket", "refused"),
        "packet-socket-refused": ("packet-socket", "packet_socket", "refused"),
        "docker-socket-refused": ("docker-socket", "docker_socket", "refused"),
        "setuid": ("no-new-privs", "no_new_privs", "became root"),
        "no-limit": ("memory-limit", "memory_limit", "none"),
        "no-answer": ("exec", "exec", ""),
        "no-log-line": ("logs", "logs", ""),
        "no-reload": ("reload", "reload", "dockerd did not reload"),
        "killed": ("stop", "stop", "exited 137"),
    },
)
def test_a_control_that_does_not_show_the_opposite_fails_that_check_and_no_other(
    check: str, key: str, value: str
) -> None:
    assert not_proven(output(runc={key: value})) == [check]


OBSERVED = [
    *((check.id, check.observed) for check in asked_of(Runtime())),
    ("address", "given_address"),
]


@table("nothing", {"missing": None, "empty": ""})
@pytest.mark.parametrize("subject", [pytest.param(name, id=name) for name in ("runsc", CONTROL)])
@pytest.mark.parametrize(
    ("check", "key"), [pytest.param(*pair, id="-".join(pair)) for pair in OBSERVED]
)
def test_what_was_not_seen_is_not_proven(
    check: str, key: str, subject: str, nothing: str | None
) -> None:
    assert check in not_proven(output(**{subject: {key: nothing}}))


@table(
    "check, key",
    {
        "kernel": ("kernel-inside", "kernel_version"),
        "kernel-release": ("kernel-release", "kernel_release"),
        "peer": ("dns", "peer_address"),
        "beyond": ("dns-scope", "beyond"),
        "subnet": ("address", "subnet"),
        "addresses": ("address", "addresses"),
    },
)
def test_what_was_not_seen_of_the_node_itself_proves_nothing(check: str, key: str) -> None:
    assert check in not_proven(output(node={key: None}))


def test_a_control_that_showed_no_kernel_is_not_like_a_node_that_showed_none() -> None:
    unseen: dict[str, str | None] = {"kernel_version": None}

    failed = not_proven(output(node=unseen, runc=unseen))

    assert "kernel-inside" in failed


@pytest.mark.parametrize("said", ["no answer", "203.0.113.7"])
def test_a_name_of_another_network_may_be_unanswered_or_somebodys_outside(said: str) -> None:
    assert not_proven(output(runsc={"dns_scope": said}, runc={"dns_scope": said})) == []


@pytest.mark.parametrize("beyond", ["", "unknown", "Error: no such container"])
def test_a_name_that_nobody_has_anywhere_has_no_scope(beyond: str) -> None:
    assert not_proven(output(node={"beyond": beyond})) == ["dns-scope"]


@table("seen", {"missing": None, "empty": ""})
def test_a_name_that_nobody_resolved_is_not_proven_by_a_peer_without_an_address(
    seen: str | None,
) -> None:
    both = {subject: {"dns_peer": seen} for subject in ("runsc", CONTROL)}

    assert "dns" in not_proven(output(**both, node={"peer_address": seen}))


@table(
    "lines",
    {
        "no-output": [],
        "garbage": ["", "\t", "garbage", "runsc", "runsc\tstart"],
        "only-the-node": output()[:3],
    },
)
def test_without_output_nothing_is_proven(lines: list[str]) -> None:
    assert not_proven(lines) == IDS
    assert unproven(judge(lines, RELEASE, HOST)) == sorted(IDS)


@table("subject", {"sandbox": "runsc", "control": CONTROL})
def test_if_one_side_did_not_start_nothing_is_proven_and_that_is_shown(subject: str) -> None:
    others = [line for line in output() if not line.startswith(f"{subject}\t")]

    verdicts = judge([*others, f"{subject}\tstart\tunknown runtime"], RELEASE, HOST)

    assert not any(verdict.passed for verdict in verdicts)
    side = [item.seen if subject == "runsc" else item.control for item in verdicts]
    assert set(side) == {"did not start"}


@table(
    "changes",
    {
        "two-subnets": {"node": {"subnet": "172.19.0.0/16fd00::/64"}},
        "subnet": {"node": {"subnet": "garbage"}},
        "subnet-empty": {"node": {"subnet": ""}},
        "address": {"runsc": {"address": "x", "given_address": "x"}},
        "release": {"runsc": {"runs": "\u2028\x00"}},
    },
)
def test_garbage_is_not_proven_and_breaks_nothing(
    changes: dict[str, dict[str, str | None]],
) -> None:
    assert not_proven(output(**changes))


def test_every_runtime_is_judged_on_what_it_showed_itself() -> None:
    bad = {**SANDBOX, "asked": "other", "raw_socket": "allowed"}
    lines = [*output(), *(f"other\t{key}\t{value}" for key, value in bad.items())]

    verdicts = judge(lines, RELEASE, {**HOST, "other": Runtime()})

    failed = [(item.runtime, item.check.id) for item in verdicts if not item.passed]
    assert failed == [("other", "raw-socket")]


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, id=check.id) for check in asked_of(Runtime())],
)
def test_only_a_check_that_says_when_may_be_left_out_and_it_is_never_ok(check: Check) -> None:
    unseen = output(runsc={check.observed: None})

    verdicts = judge(unseen, RELEASE, HOST, skipped={check.id: "not here"})

    (verdict,) = (item for item in verdicts if item.check is check)

    assert verdict.word == ("n/a" if check.unless else "NOT PROVEN")
    assert not verdict.passed


def test_a_probe_that_saw_nothing_is_not_accepted() -> None:
    risky = Runtime(flags=("--net-raw",), reason="our own ping monitors")

    assert {item.word for item in judge([], RELEASE, {"runsc": risky})} == {"NOT PROVEN"}


@table(
    "default, asked, control, failed",
    {
        "both-ask-for-none": ("gvisordefault", "gvisordefault", "gvisordefault", []),
        "by-name": ("gvisordefault", "runc", "gvisordefault", ["runtime"]),
        "control-by-name": ("gvisordefault", "gvisordefault", "runc", ["runtime"]),
        "no-default": (None, "gvisordefault", "runc", []),
        "control-by-default": (None, "gvisordefault", "gvisordefault", ["runtime"]),
    },
)
def test_where_a_runtime_is_the_default_neither_side_may_ask_for_one(
    default: str | None, asked: str, control: str, failed: list[str]
) -> None:
    seen = {"runsc": {"asked": asked}, CONTROL: {"asked": control}, "node": {"default": default}}
    lines = [line.replace("runsc\t", "gvisordefault\t", 1) for line in output(**seen)]

    assert not_proven(lines, {"gvisordefault": Runtime()}) == failed


DNS = tuple(check.id for check in CHECKS if check.id.startswith("dns"))
EGRESS = [check.id for check in CHECKS if check.id.startswith("egress-")]
STRICT = [check.id for check in CHECKS if check.hardening == "strict"]
TCP = ("tcp-to-peer", "tcp-from-peer", "published-port")


@table(
    "runtime, left_out",
    {
        "hostinet": ({"network": "host"}, {"own-stack"}),
        "netstack-without-dockers-dns": ({"network": "sandbox"}, set(DNS)),
        "netstack-with-it": ({"network": "sandbox", "dns": "docker"}, set()),
        "no-network": ({"network": "none"}, {*DNS, "address", "own-stack", *TCP, *EGRESS}),
    },
)
def test_a_runtime_is_asked_what_its_network_can_show(
    runtime: dict[str, str], left_out: set[str]
) -> None:
    runtimes = {"runsc": Runtime.model_validate(runtime)}

    verdicts = judge(output(), RELEASE, runtimes)

    left_out = left_out | {*STRICT, "seal"}
    assert {verdict.check.id for verdict in verdicts} == {check.id for check in CHECKS} - left_out


@table(
    "seal, asked",
    {
        "no-seal": (None, False),
        "seal": (Seal(), True),
        "other-directories": (Seal(binds=("/srv",)), True),
        "less-than-the-probes-mount": (Seal(binds=("/usr/share",)), True),
        "what-they-mount": (Seal(binds=("/usr",), reason="for this test"), False),
        "everything": (Seal(binds=("/",), reason="for this test"), False),
    },
)
def test_only_a_seal_that_refuses_the_probes_is_asked_whether_it_does(
    seal: Seal | None, asked: bool
) -> None:
    verdicts = judge(output(), RELEASE, {"runsc": Runtime(seal=seal)})

    assert [item.word for item in verdicts if item.check.id == "seal"] == ["ok"] * asked


@table(
    "subject, seen",
    {
        "allowed": ("runsc", {"sealed": "allowed"}),
        "not-seen": ("runsc", {"sealed": None, "sealed.error": "no space"}),
        "control-not-seen": (CONTROL, {"sealed": None}),
    },
)
def test_a_seal_that_lets_something_pass_is_not_proven(
    subject: str, seen: dict[str, str | None]
) -> None:
    runtimes = {"runsc": Runtime(seal=Seal())}

    assert not_proven(output(**{subject: seen}), runtimes) == ["seal"]


@table(
    "subject, seen, failed",
    {
        "in-force": ("runsc", {}, []),
        "no-filter": ("runsc", {"personality": "not refused"}, ["seccomp"]),
        "rights": ("runsc", {"file_rights": "some"}, ["file-rights"]),
        "not-seen": ("runsc", {"file_rights": None, "personality": None}, STRICT),
        "control-without-rights": (CONTROL, {"file_rights": "none"}, ["file-rights"]),
        "control-not-seen": (CONTROL, {"personality": None}, ["seccomp"]),
    },
)
def test_strict_is_asked_whether_it_is_in_force(
    subject: str, seen: dict[str, str | None], failed: list[str]
) -> None:
    strict = {"runsc": Runtime(hardening="strict")}

    assert not_proven(output(**{subject: seen}), strict) == failed


def test_strict_is_not_asked_for_what_dockers_filter_refuses() -> None:
    lines = output(runsc={"dmesg": "refused"})

    assert not_proven(lines, {"runsc": Runtime(hardening="strict")}) == []
    assert not_proven(lines, {"runsc": Runtime()}) == ["dmesg"]


def test_of_a_filter_of_the_nodes_own_nothing_is_shown() -> None:
    lines = output(runsc={"personality": "not refused"}, runc={"personality": "not refused"})

    verdicts = judge(
        [*lines, "node\tnot_applicable.seccomp\tnot refused under runc either"],
        RELEASE,
        {"runsc": Runtime(hardening="strict")},
    )

    (found,) = (item for item in verdicts if item.check.id == "seccomp")
    assert found.word == "n/a"


NETSTACK = {"runsc": Runtime(network="sandbox", dns="docker")}


@table(
    "subject, seen",
    {
        "hostinet-in-truth": ("runsc", "the kernel's"),
        "not-seen": ("runsc", None),
        "not-to-be-seen-here": (CONTROL, "the sandbox's alone"),
        "control-not-seen": (CONTROL, None),
    },
)
def test_packets_are_netstacks_only_where_the_kernel_has_not_the_address(
    subject: str, seen: str | None
) -> None:
    assert not_proven(output(), NETSTACK) == []
    assert not_proven(output(**{subject: {"kernel_address": seen}}), NETSTACK) == ["own-stack"]
