"""What a runtime is asked for depends on its network, and what shows whose stack it has."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
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
