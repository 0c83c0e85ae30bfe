"""What a runtime is asked for depends on its network, and what shows whose stack it has."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.proof.checks import CHECKS, CONTROL
from pyinfra_gvisor.proof.verdict import judge
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.unit.observations import RELEASE, output

DNS = tuple(check.id for check in CHECKS if check.id.startswith("dns"))
EGRESS = [check.id for check in CHECKS if check.id.startswith("egress-")]
STRICT = [check.id for check in CHECKS if check.hardening == "strict"]
TCP = ("tcp-to-peer", "tcp-from-peer", "published-port")


def not_proven(lines: list[str], runtimes: dict[str, Runtime]) -> list[str]:
    """The checks that failed."""
    return [item.check.id for item in judge(lines, RELEASE, runtimes) if not item.passed]


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

    left_out = left_out | set(STRICT)
    assert {verdict.check.id for verdict in verdicts} == {check.id for check in CHECKS} - left_out


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
