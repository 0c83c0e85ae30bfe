"""Reports for tests: a host of every state, with all that a report can hold."""

from typing import Any

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.document import (
    ContainerReport,
    EgressReport,
    FleetReport,
    HostReport,
    NodeReport,
    ProofReport,
    RuntimeReport,
    StoppedReport,
    fleet_report,
    not_looked_at,
)
from pyinfra_gvisor.report.page import FEW

AT = "2026-11-25T01:02:03+00:00"
AT_S = 1795568523
PROVEN = "2026-11-20T23:30:00+01:00"
PROVEN_S = 1795213800
RELEASE = "20260928.0"
WRAPPER = "/opt/gvisor/runtimes/runsc-20260928.0-4fd09a1c"

UNSANDBOXED = Finding(
    id="container-unsandboxed",
    severity=Severity.CRITICAL,
    subject="shop-db",
    what="must run in a sandbox and runs on the host's kernel",
    evidence="runtime runc, /proc/2113/exe is /usr/sbin/mysqld",
    remedy="Deploy it again with the runtime runsc; until then stop it.",
)
SOCKET = Finding(
    id="container-docker-sock",
    severity=Severity.HIGH,
    subject="panel",
    what="has Docker's socket mounted, and with it the whole node",
    evidence="/var/run/docker.sock -> /var/run/docker.sock (rw)",
    remedy="Take the mount away, or exempt the container with a reason.",
    cis="5.32",
)
MODE = Finding(
    id="daemon-json-mode",
    severity=Severity.LOW,
    subject="/etc/docker/daemon.json",
    what="can be written by its group",
    evidence="mode 0664, owner root:docker",
    remedy="chmod 0644 /etc/docker/daemon.json",
    cis="3.18",
)
WAIVED = Finding(
    id="userns-remap",
    severity=Severity.MEDIUM,
    subject="dockerd",
    what="user namespaces are not remapped",
    evidence="docker info: no name=userns",
    remedy="Set userns-remap.",
    cis="2.9",
    waived="gVisor does not run under userns-remap",
)

COUNTERS = {"accept_dns": 120, "accept_internet": 4031, "drop_metadata": 3, "drop_node": 0}
WEB = StoppedReport(
    who="web",
    running=True,
    tried=("169.254.169.254:80/tcp", *(f"10.0.0.{number}:5432/tcp" for number in range(FEW))),
    more=2,
)
GONE = StoppedReport(who="172.18.0.9", running=False, tried=("10.0.0.5/icmp",), more=0)


def container(
    name: str, *, asked: str = "runsc", sandboxed: bool = True, exempt: str | None = None
) -> ContainerReport:
    """A container that has to be in a sandbox."""
    return ContainerReport(
        name=name,
        id="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        image="registry.example.com/shop/app:3.1",
        asked=asked,
        sandboxed=sandboxed,
        verdict="sandboxed" if sandboxed else "bare",
        why="" if sandboxed else "runc is not gVisor",
        release=RELEASE if sandboxed else None,
        must=True,
        exempt=exempt,
    )


def node(*, at: str | None = PROVEN) -> NodeReport:
    """A node with one runtime of ours."""
    return NodeReport(
        distribution="Debian GNU/Linux 13 (trixie)",
        kernel="6.12.48+deb13-amd64",
        arch="x86_64",
        docker="28.5.1",
        release=RELEASE,
        releases=("20260817.0", RELEASE),
        runtimes=(RuntimeReport(name="runsc", path=WRAPPER, release=RELEASE),),
        proof=ProofReport(
            release=RELEASE, at=at, held_at=at, checks=14, failed=(), holds=at is not None
        ),
    )


def host(
    name: str,
    *findings: Finding,
    containers: tuple[ContainerReport, ...] = (container("web"),),
    risks: tuple[str, ...] = (),
) -> HostReport:
    """A host that was looked at."""
    return HostReport(
        host=name,
        at=AT,
        by="audit",
        fail_on=Severity.HIGH,
        node=node(),
        containers=containers,
        findings=findings,
        risks=risks,
    )


def with_firewall(name: str = "run-1", **changes: Any) -> HostReport:
    """A clean host with a firewall that has stopped nobody."""
    known = {"declared": True, "in_force": True, "counters": COUNTERS, "stopped": (), **changes}
    return host(name).model_copy(update={"egress": EgressReport.model_validate(known)})


def unknown(name: str, error: str = "ssh: connect to 10.0.0.9 port 22: timed out") -> HostReport:
    """A host of which nothing is known."""
    return not_looked_at(name, at=AT, by="audit", fail_on=Severity.HIGH, error=error)


def fleet(*hosts: HostReport) -> FleetReport:
    """These hosts' report."""
    return fleet_report(hosts, at=AT, by="audit")


def failed(name: str = "run-2") -> HostReport:
    """A host with a finding of nearly every kind."""
    proxy = container("coolify-proxy", asked="runc", sandboxed=False, exempt="routes to all others")
    database = container("shop-db", asked="runc", sandboxed=False)
    return host(
        name,
        *(WAIVED, MODE, SOCKET, UNSANDBOXED),
        containers=(container("web"), database, proxy),
        risks=("gvisor_network host: the node's own network, accepted by the owner of run-2",),
    )


def every_state() -> FleetReport:
    """One host of every state."""
    return fleet(host("run-1"), failed(), host("run-3", MODE), unknown("run-4"))
