"""Devices, security options and annotations in an audit."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.audit.annotation_rules import ANNOTATIONS, known
from pyinfra_gvisor.audit.security_rules import MASKED
from pyinfra_gvisor.policy.findings import Severity
from tests.unit.audited import app, found, ids, with_container

BARE: dict[str, Any] = {"runtime": "runc", "executable": "/usr/bin/node", "argv0": "node"}
LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL


def device(host: str, inside: str = "") -> dict[str, Any]:
    """A device as Docker has it, by default under its own name."""
    given = {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": "rwm"}
    return {"Devices": [given]}


@pytest.mark.parametrize(
    ("given", "sandboxed", "bare"),
    [
        pytest.param(device("/dev/sda"), MEDIUM, HIGH, id="a-disk"),
        pytest.param(device("/dev/null"), LOW, LOW, id="harmless"),
        pytest.param(device("/dev/net/tun"), LOW, HIGH, id="the-sentry-has-its-own"),
        pytest.param(device("/dev/sda", "/dev/null"), MEDIUM, HIGH, id="under-another-name"),
        pytest.param(device("/dev/vfio/7"), HIGH, HIGH, id="calls-the-host's-driver"),
        pytest.param(device("/dev/x", "/dev/accel0"), HIGH, HIGH, id="runsc-goes-by-the-name"),
        pytest.param({"DeviceCgroupRules": ["c 1:* rwm"]}, LOW, HIGH, id="a-rule"),
    ],
)
def test_a_device_is_as_bad_as_what_it_opens(
    given: dict[str, Any], sandboxed: Severity, bare: Severity
) -> None:
    inside = found(with_container(app(given=given)))["container-device shop"]
    outside = found(with_container(app(given=given, **BARE)))["container-device shop"]

    assert (inside.severity, outside.severity) == (sandboxed, bare)
    assert inside.cis == "5.18"


def test_a_request_for_gpus_is_found() -> None:
    wanted = {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]]}
    report = with_container(app(given={"DeviceRequests": [wanted]}))

    finding = found(report)["container-gpu shop"]
    assert (finding.severity, finding.evidence) == (HIGH, "gpu: all")


@pytest.mark.parametrize(
    ("option", "rule", "bare"),
    [
        pytest.param("seccomp=unconfined", "container-seccomp", HIGH, id="seccomp"),
        pytest.param("seccomp:unconfined", "container-seccomp", HIGH, id="as-written-long-ago"),
        pytest.param('seccomp={"defaultAction":', "container-seccomp", HIGH, id="own-profile"),
        pytest.param("apparmor=unconfined", "container-apparmor", MEDIUM, id="apparmor"),
        pytest.param("label=disable", "container-selinux", MEDIUM, id="selinux"),
        pytest.param("disable", "container-selinux", MEDIUM, id="as-docker-adds-it"),
        pytest.param("no-new-privileges=false", "container-new-privileges", MEDIUM, id="nnp"),
        pytest.param("writable-cgroups=true", "container-writable-cgroups", MEDIUM, id="cgroups"),
    ],
)
def test_an_open_security_option_is_low_in_a_sandbox(
    option: str, rule: str, bare: Severity
) -> None:
    given = {"SecurityOpt": [option]}

    inside = found(with_container(app(given=given)))
    outside = found(with_container(app(given=given, **BARE)))

    assert {item.id: item.severity for item in inside.values()} == {rule: LOW}
    assert outside[f"{rule} shop"].severity is bare


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"SecurityOpt": ["no-new-privileges"]}, id="stricter"),
        pytest.param({"SecurityOpt": ["no-new-privileges:true"]}, id="stricter-as-a-value"),
        pytest.param({"SecurityOpt": ["seccomp=builtin"]}, id="docker's-own"),
        pytest.param({"SecurityOpt": ["disable"], "PidMode": "host"}, id="what-docker-adds"),
        pytest.param({"SecurityOpt": None, "MaskedPaths": None, "Devices": None}, id="null"),
        pytest.param(
            {"MaskedPaths": [*sorted(MASKED), "/proc/interrupts"]},
            id="docker's-own-list",
        ),
    ],
)
def test_what_is_no_weaker_than_dockers_own_is_no_finding(given: dict[str, Any]) -> None:
    assert set(ids(with_container(app(given=given)))) <= {"container-host-pid"}


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param({"flags": ["--oci-seccomp"]}, id="flag"),
        pytest.param({"hardening": "strict"}, id="strict"),
    ],
)
def test_a_profile_that_a_sandbox_keeps_is_missed_more(runtime: dict[str, Any]) -> None:
    given = {"SecurityOpt": ["seccomp=unconfined"]}

    report = with_container(app(given=given), runtimes={"runsc": runtime})

    assert found(report)["container-seccomp shop"].severity is MEDIUM


@pytest.mark.parametrize(
    ("given", "evidence"),
    [
        pytest.param({"MaskedPaths": []}, "/proc/acpi, /proc/kcore", id="unmasked"),
        pytest.param({"ReadonlyPaths": ["/proc/bus"]}, "/proc/fs, /proc/irq", id="writable"),
    ],
)
def test_open_system_paths_are_found(given: dict[str, Any], evidence: str) -> None:
    bare = found(with_container(app(given=given, **BARE)))["container-system-paths shop"]
    inside = found(with_container(app(given=given)))["container-system-paths shop"]

    assert evidence in bare.evidence
    assert (bare.severity, inside.severity) == (HIGH, LOW)


def test_an_option_that_nobody_knows_is_found() -> None:
    report = with_container(app(given={"SecurityOpt": ["brand-new=off"]}))

    assert ids(report) == ["container-security-option"]


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        pytest.param("dev.gvisor.spec.rootfs.source", CRITICAL, id="rootfs"),
        pytest.param("dev.gvisor.spec.mount.x.share", MEDIUM, id="mount"),
        pytest.param("dev.gvisor.internal.nvproxy", HIGH, id="gpu"),
        pytest.param("dev.gvisor.internal.checkpoint.path", HIGH, id="checkpoint"),
        pytest.param("dev.gvisor.internal.cpufeatures", LOW, id="cpu"),
        pytest.param("dev.gvisor.brand-new", HIGH, id="unknown"),
        pytest.param("dev.gvisorish", HIGH, id="only-begins-like-it"),
        pytest.param("io.kubernetes.cri.container-type", HIGH, id="cri"),
        pytest.param("io.kubernetes.cri-o.SandboxID", HIGH, id="cri-o"),
        pytest.param("io.kubernetes.cri.sandbox-name", LOW, id="a-name"),
    ],
)
def test_every_annotation_that_runsc_may_obey_is_judged(name: str, severity: Severity) -> None:
    report = with_container(app(given={"Annotations": {name: "x"}}))

    finding = found(report)["container-annotation shop"]
    assert (finding.severity, name in finding.evidence) == (severity, True)


def test_the_worst_of_several_annotations_counts_and_all_are_named() -> None:
    given = {"dev.gvisor.flag.debug": "true", "dev.gvisor.internal.tpuproxy": "true"}
    report = with_container(app(given={"Annotations": given}))

    finding = found(report)["container-annotation shop"]
    assert finding.severity is HIGH
    assert all(name in finding.evidence for name in given)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ANNOTATIONS])
def test_no_annotation_is_hidden_by_an_earlier_row(row: Any) -> None:
    name = row.name + ("x" if row.name[-1] in ".-" else "")

    assert known(name).what == row.what
