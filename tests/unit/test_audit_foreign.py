"""Other engines in an audit, and containers that no Docker of ours knows."""

from __future__ import annotations

from pyinfra_gvisor.policy.findings import Severity
from tests.unit.audited import audited, found

FILE = "/usr/bin/containerd-shim-runc-v2"


def shim(pid: int, namespace: str = "k8s.io", identity: str = "web") -> str:
    """What the script tells of a shim of containerd's."""
    where = "/run/k3s/containerd/containerd.sock"
    told = ("containerd-shim-runc-v2", str(pid), "0", FILE, namespace, identity, where)
    return "engine " + "\t".join(told)


def test_containers_of_another_engine_are_one_finding_each_namespace() -> None:
    report = audited(*(shim(pid, identity=f"web-{pid}") for pid in range(7)), shim(9, "other"))

    at = "at /run/k3s/containerd/containerd.sock"
    many = found(report)[f"container-unowned namespace k8s.io {at}"]
    assert many.severity is Severity.HIGH
    assert "containerd-shim-runc-v2 0: web-0" in many.evidence
    assert many.evidence.endswith("and 4 more")
    assert f"container-unowned namespace other {at}" in found(report)
    assert not report.compliant


def test_containers_of_podman_are_found_by_their_monitor() -> None:
    report = audited("engine conmon\t12\t1000\t/usr/bin/conmon\t\tabc\t")

    finding = found(report)["container-unowned conmon of user 1000"]
    assert finding.evidence == "conmon 12: abc"


def test_an_engine_and_a_socket_are_found_even_without_containers() -> None:
    report = audited(
        "engine dockerd\t12\t1000\t/usr/bin/dockerd\t\t\tunix:///run/two.sock",
        "engine socket\t0\t0\t/run/podman/podman.sock\t\t\t/run/podman/podman.sock",
    )

    engine = found(report)["engine-unknown dockerd 12"]
    assert engine.severity is Severity.MEDIUM
    assert engine.evidence == "/usr/bin/dockerd, user 1000, listens on unix:///run/two.sock"
    assert "engine-unknown /run/podman/podman.sock" in found(report)
