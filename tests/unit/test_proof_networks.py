"""What a runtime is asked for depends on its network, and what shows whose stack it has."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.proof.checks import CHECKS, CONTROL
from pyinfra_gvisor.proof.verdict import judge
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.unit.observations import RELEASE, output

DNS = tuple(check.id for check in CHECKS if check.id.startswith("dns"))
EGRESS = [check.id for check in CHECKS if check.id.startswith("egress-")]
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

    assert {verdict.check.id for verdict in verdicts} == {check.id for check in CHECKS} - left_out


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
