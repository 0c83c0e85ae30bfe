"""Every check of the proof can fail on its own, and what was not seen is never ok."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.proof.checks import CHECKS, CONTROL, Check, asked_of
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from pyinfra_gvisor.proof.verdict import judge, unproven
from pyinfra_gvisor.runtimes.profiles import Runtime
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


@pytest.mark.parametrize(
    ("check", "key", "value"),
    [
        pytest.param("kernel-inside", "kernel_version", DEBIAN_KERNEL, id="hosts-kernel"),
        pytest.param("kernel-inside", "kernel_version", GVISOR_KERNEL + " x", id="like-gvisors"),
        pytest.param(
            "kernel-release", "kernel_release", NODE["kernel_release"], id="hosts-release"
        ),
        pytest.param("dmesg", "dmesg", "another kernel's", id="hosts-log"),
        pytest.param("dmesg", "dmesg", "refused", id="no-log"),
        pytest.param("process-outside", "state", "bare", id="no-sandbox-outside"),
        pytest.param("process-outside", "state", "unknown", id="nobody-knows-what-it-is"),
        pytest.param("release", "runs", "", id="another-runsc"),
        pytest.param("release", "runs", "20240729.0", id="another-release"),
        pytest.param("release", "runs", f"{RELEASE}1", id="longer-name"),
        pytest.param("runtime", "asked", "runc", id="another-runtime"),
        pytest.param("dns", "dns_peer", "172.19.0.9", id="another-peer"),
        pytest.param("dns-alias", "dns_alias", "172.19.0.9", id="anothers-alias"),
        pytest.param("dns-scope", "dns_scope", NODE["beyond"], id="a-name-of-another-network"),
        pytest.param("dns-scope", "dns_scope", "no such command", id="garbage-for-a-name"),
        pytest.param("dns-restart", "dns_restart", "unknown, not 172.19.0.2", id="restarted"),
        pytest.param("address", "address", "10.0.0.1", id="the-hosts-address"),
        pytest.param("address", "given_address", "172.19.0.9", id="not-the-given-address"),
        pytest.param("tcp-to-peer", "tcp_to_peer", "Connection refused", id="no-way-out"),
        pytest.param("tcp-from-peer", "tcp_from_peer", "Connection refused", id="no-way-in"),
        pytest.param("published-port", "published", "another word", id="another-answers"),
        pytest.param("egress-allowed", "egress_allowed", "refused", id="allowed-and-not-reached"),
        pytest.param("raw-socket", "raw_socket", "allowed", id="raw-socket"),
        pytest.param("packet-socket", "packet_socket", "allowed", id="packet-socket"),
        pytest.param("docker-socket", "docker_socket", "allowed", id="docker-socket"),
        pytest.param("no-new-privs", "no_new_privs", "became root", id="setuid"),
        pytest.param("memory-limit", "memory_limit", "none", id="no-limit"),
        pytest.param("memory-limit", "memory_limit", "268435456", id="another-limit"),
        pytest.param("exec", "exec", "answer 41", id="wrong-answer"),
        pytest.param("exec", "exec", "answer 42 and more", id="more-than-the-answer"),
        pytest.param("logs", "logs", "another line", id="no-log-line"),
        pytest.param("reload", "reload", "it is another process", id="lost-by-reload"),
        pytest.param("stop", "stop", "exited 137", id="killed"),
        pytest.param("stop", "stop", "running 0", id="not-stopped"),
    ],
)
def test_a_sandbox_that_shows_something_else_fails_that_check_and_no_other(
    check: str, key: str, value: str
) -> None:
    assert not_proven(output(runsc={key: value})) == [check]


@pytest.mark.parametrize(
    ("version", "release", "proves"),
    [
        pytest.param(GVISOR_KERNEL, "4.4.0", True, id="early"),
        pytest.param(GVISOR_KERNEL, "4.19.0-gvisor", True, id="late"),
        pytest.param(GVISOR_KERNEL, "6.1.0-gvisor", True, id="not-known-yet"),
        pytest.param("#1 SMP another", "6.1.0-gvisor", False, id="nobody-knows"),
        pytest.param(GVISOR_KERNEL, NODE["kernel_release"], False, id="the-nodes"),
    ],
)
def test_a_kernel_release_is_a_known_one_or_comes_with_gvisors_version(
    version: str, release: str, proves: bool
) -> None:
    seen: dict[str, str | None] = {"kernel_version": version, "kernel_release": release}

    assert ("kernel-release" not in not_proven(output(runsc=seen))) is proves


@pytest.mark.parametrize(
    "addresses",
    [pytest.param("172.19.0.3 192.0.2.7", id="the-nodes"), pytest.param("", id="not-known")],
)
def test_an_address_of_the_nodes_own_proves_nothing(addresses: str) -> None:
    assert not_proven(output(node={"addresses": addresses})) == ["address"]


@pytest.mark.parametrize(
    ("check", "key", "value"),
    [
        pytest.param("kernel-inside", "kernel_version", GVISOR_KERNEL, id="gvisors-kernel"),
        pytest.param("kernel-release", "kernel_release", "4.4.0", id="gvisors-release"),
        pytest.param("dmesg", "dmesg", "Starting gVisor", id="gvisors-log"),
        pytest.param("process-outside", "state", "sandboxed", id="a-sandbox-outside"),
        pytest.param("process-outside", "state", "unknown", id="unknown-outside"),
        pytest.param("release", "runs", RELEASE, id="of-a-release"),
        pytest.param("runtime", "asked", "runsc", id="asked-for-runsc"),
        pytest.param("dns", "dns_peer", "", id="no-name"),
        pytest.param("dns-alias", "dns_alias", "unknown", id="no-alias"),
        pytest.param("dns-scope", "dns_scope", NODE["beyond"], id="a-name-of-another-network"),
        pytest.param("dns-restart", "dns_restart", "no answer", id="restarted"),
        pytest.param("dns-external", "dns_external", "", id="no-external-name"),
        pytest.param("address", "address", "172.19.0.9", id="another-address"),
        pytest.param("tcp-to-peer", "tcp_to_peer", "refused", id="no-way-out"),
        pytest.param("tcp-from-peer", "tcp_from_peer", "refused", id="no-way-in"),
        pytest.param("published-port", "published", "refused", id="no-published-port"),
        pytest.param("egress-allowed", "egress_allowed", "no answer", id="nothing-answers"),
        pytest.param("raw-socket", "raw_socket", "refused", id="raw-socket-refused"),
        pytest.param("packet-socket", "packet_socket", "refused", id="packet-socket-refused"),
        pytest.param("docker-socket", "docker_socket", "refused", id="docker-socket-refused"),
        pytest.param("no-new-privs", "no_new_privs", "became root", id="setuid"),
        pytest.param("memory-limit", "memory_limit", "none", id="no-limit"),
        pytest.param("exec", "exec", "", id="no-answer"),
        pytest.param("logs", "logs", "", id="no-log-line"),
        pytest.param("reload", "reload", "dockerd did not reload", id="no-reload"),
        pytest.param("stop", "stop", "exited 137", id="killed"),
    ],
)
def test_a_control_that_does_not_show_the_opposite_fails_that_check_and_no_other(
    check: str, key: str, value: str
) -> None:
    assert not_proven(output(runc={key: value})) == [check]


OBSERVED = [
    *((check.id, check.observed) for check in asked_of(Runtime())),
    ("address", "given_address"),
]


@pytest.mark.parametrize(
    "nothing", [pytest.param(None, id="missing"), pytest.param("", id="empty")]
)
@pytest.mark.parametrize("subject", [pytest.param(name, id=name) for name in ("runsc", CONTROL)])
@pytest.mark.parametrize(
    ("check", "key"), [pytest.param(*pair, id="-".join(pair)) for pair in OBSERVED]
)
def test_what_was_not_seen_is_not_proven(
    check: str, key: str, subject: str, nothing: str | None
) -> None:
    assert check in not_proven(output(**{subject: {key: nothing}}))


@pytest.mark.parametrize(
    ("check", "key"),
    [
        pytest.param("kernel-inside", "kernel_version", id="kernel"),
        pytest.param("kernel-release", "kernel_release", id="kernel-release"),
        pytest.param("dns", "peer_address", id="peer"),
        pytest.param("dns-scope", "beyond", id="beyond"),
        pytest.param("address", "subnet", id="subnet"),
        pytest.param("address", "addresses", id="addresses"),
    ],
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


@pytest.mark.parametrize("seen", [pytest.param(None, id="missing"), pytest.param("", id="empty")])
def test_a_name_that_nobody_resolved_is_not_proven_by_a_peer_without_an_address(
    seen: str | None,
) -> None:
    both = {subject: {"dns_peer": seen} for subject in ("runsc", CONTROL)}

    assert "dns" in not_proven(output(**both, node={"peer_address": seen}))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no-output"),
        pytest.param(["", "\t", "garbage", "runsc", "runsc\tstart"], id="garbage"),
        pytest.param(output()[:3], id="only-the-node"),
    ],
)
def test_without_output_nothing_is_proven(lines: list[str]) -> None:
    assert not_proven(lines) == IDS
    assert unproven(judge(lines, RELEASE, HOST)) == sorted(IDS)


@pytest.mark.parametrize(
    "subject",
    [pytest.param("runsc", id="sandbox"), pytest.param(CONTROL, id="control")],
)
def test_if_one_side_did_not_start_nothing_is_proven_and_that_is_shown(subject: str) -> None:
    others = [line for line in output() if not line.startswith(f"{subject}\t")]

    verdicts = judge([*others, f"{subject}\tstart\tunknown runtime"], RELEASE, HOST)

    assert not any(verdict.passed for verdict in verdicts)
    side = [item.seen if subject == "runsc" else item.control for item in verdicts]
    assert set(side) == {"did not start"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"node": {"subnet": "172.19.0.0/16fd00::/64"}}, id="two-subnets"),
        pytest.param({"node": {"subnet": "garbage"}}, id="subnet"),
        pytest.param({"node": {"subnet": ""}}, id="subnet-empty"),
        pytest.param({"runsc": {"address": "x", "given_address": "x"}}, id="address"),
        pytest.param({"runsc": {"runs": "\u2028\x00"}}, id="release"),
    ],
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


@pytest.mark.parametrize(
    ("default", "asked", "control", "failed"),
    [
        pytest.param("gvisordefault", "gvisordefault", "gvisordefault", [], id="both-ask-for-none"),
        pytest.param("gvisordefault", "runc", "gvisordefault", ["runtime"], id="by-name"),
        pytest.param("gvisordefault", "gvisordefault", "runc", ["runtime"], id="control-by-name"),
        pytest.param(None, "gvisordefault", "runc", [], id="no-default"),
        pytest.param(None, "gvisordefault", "gvisordefault", ["runtime"], id="control-by-default"),
    ],
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


@pytest.mark.parametrize(
    ("runtime", "left_out"),
    [
        pytest.param({"network": "host"}, {"own-stack"}, id="hostinet"),
        pytest.param({"network": "sandbox"}, set(DNS), id="netstack-without-dockers-dns"),
        pytest.param({"network": "sandbox", "dns": "docker"}, set(), id="netstack-with-it"),
        pytest.param(
            {"network": "none"}, {*DNS, "address", "own-stack", *TCP, *EGRESS}, id="no-network"
        ),
    ],
)
def test_a_runtime_is_asked_what_its_network_can_show(
    runtime: dict[str, str], left_out: set[str]
) -> None:
    runtimes = {"runsc": Runtime.model_validate(runtime)}

    verdicts = judge(output(), RELEASE, runtimes)

    left_out = left_out | {*STRICT, "seal"}
    assert {verdict.check.id for verdict in verdicts} == {check.id for check in CHECKS} - left_out


@pytest.mark.parametrize(
    ("seal", "asked"),
    [
        pytest.param(None, False, id="no-seal"),
        pytest.param(Seal(), True, id="seal"),
        pytest.param(Seal(binds=("/srv",)), True, id="other-directories"),
        pytest.param(Seal(binds=("/usr/share",)), True, id="less-than-the-probes-mount"),
        pytest.param(Seal(binds=("/usr",), reason="for this test"), False, id="what-they-mount"),
        pytest.param(Seal(binds=("/",), reason="for this test"), False, id="everything"),
    ],
)
def test_only_a_seal_that_refuses_the_probes_is_asked_whether_it_does(
    seal: Seal | None, asked: bool
) -> None:
    verdicts = judge(output(), RELEASE, {"runsc": Runtime(seal=seal)})

    assert [item.word for item in verdicts if item.check.id == "seal"] == ["ok"] * asked


@pytest.mark.parametrize(
    ("subject", "seen"),
    [
        pytest.param("runsc", {"sealed": "allowed"}, id="allowed"),
        pytest.param("runsc", {"sealed": None, "sealed.error": "no space"}, id="not-seen"),
        pytest.param(CONTROL, {"sealed": None}, id="control-not-seen"),
    ],
)
def test_a_seal_that_lets_something_pass_is_not_proven(
    subject: str, seen: dict[str, str | None]
) -> None:
    runtimes = {"runsc": Runtime(seal=Seal())}

    assert not_proven(output(**{subject: seen}), runtimes) == ["seal"]


@pytest.mark.parametrize(
    ("subject", "seen", "failed"),
    [
        pytest.param("runsc", {}, [], id="in-force"),
        pytest.param("runsc", {"personality": "not refused"}, ["seccomp"], id="no-filter"),
        pytest.param("runsc", {"file_rights": "some"}, ["file-rights"], id="rights"),
        pytest.param("runsc", {"file_rights": None, "personality": None}, STRICT, id="not-seen"),
        pytest.param(
            CONTROL, {"file_rights": "none"}, ["file-rights"], id="control-without-rights"
        ),
        pytest.param(CONTROL, {"personality": None}, ["seccomp"], id="control-not-seen"),
    ],
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


@pytest.mark.parametrize(
    ("subject", "seen"),
    [
        pytest.param("runsc", "the kernel's", id="hostinet-in-truth"),
        pytest.param("runsc", None, id="not-seen"),
        pytest.param(CONTROL, "the sandbox's alone", id="not-to-be-seen-here"),
        pytest.param(CONTROL, None, id="control-not-seen"),
    ],
)
def test_packets_are_netstacks_only_where_the_kernel_has_not_the_address(
    subject: str, seen: str | None
) -> None:
    assert not_proven(output(), NETSTACK) == []
    assert not_proven(output(**{subject: {"kernel_address": seen}}), NETSTACK) == ["own-stack"]
