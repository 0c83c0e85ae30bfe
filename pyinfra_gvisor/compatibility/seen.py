"""Make the record of a node from its audit, without the host's name, labels and paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from pydantic import ValidationError

from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.compatibility.record import Record, RuntimeSeen, SeenBy, Source, Timings
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.docker_info import DockerInfo
from pyinfra_gvisor.parts.kernel.plan import plan_kernel
from pyinfra_gvisor.parts.kernel.settings import KernelSettings
from pyinfra_gvisor.parts.kernel.state import KernelSurface
from pyinfra_gvisor.releases.sources import APT_URL, GITHUB_URL, OFFICIAL_URL
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, RUNC_BY_NAME, Runtime

# Names of containers in systemd-detect-virt(1). The lab of this package uses the first two.
LAB_CONTAINERS = frozenset({"docker", "podman"})
CONTAINERS = frozenset(
    {
        *("container-other", "lxc", "lxc-libvirt", "openvz", "pouch", "proot", "rkt"),
        *("systemd-nspawn", "wsl"),
    }
)
DISTRIBUTIONS = {"debian": "Debian", "ubuntu": "Ubuntu"}

# The directory of a lab build names the module and version: tools/lab/parts.py
_LAB_BUILD = re.compile(
    r"(?:^|/)lab-build-gvisor\.dev-gvisor@(v\d+\.\d+\.\d+-\d{14}-[0-9a-f]{12})(?=[-/]|$)"
)
_ASKED: Mapping[str, Literal["nothing", "runc"]] = {
    DEFAULT_RUNTIME: "nothing",
    RUNC_BY_NAME: "runc",
}
_AGAIN = "prove the node again with --data gvisor_proof=always"


def record_of(host: Audited, report: HostReport, *, timings: Timings) -> Record:
    """
    Return the record of a node with a valid proof. Its date is the day of the proof.

    + report: the report of ``audit.judge`` for the host
    + timings: the durations of the run; the duration of the proof comes from the node

    Raises ``Problem`` if the proof is not valid, or if a value is unknown or does not fit.
    """
    node, info, proof = host.node, host.node.info, host.node.state.get("proof")
    if info is None or report.node is None or not report.node.proof.holds:
        raise Problem("the node has no valid proof", todo="run pyinfra-gvisor apply")
    lab_build, source = _source(node, host.expected.release)
    try:
        return Record(
            date=_day(report.node.proof.at),
            seen_by=seen_by(host.observed.virtualization),
            distribution=_distribution(node),
            init=_init(node),
            image_store=image_store(info),
            runsc=host.expected.release,
            runsc_source=source,
            runsc_lab_build=lab_build,
            runtimes=_runtimes(host.settings.proven_runtimes, proof),
            firewall=bool(report.egress and report.egress.blocks),
            kernel_surface=_kernel_surface(host),
            names=any(item.dns for item in host.settings.runtimes.values()),
            timings=timings.model_copy(update={"proof_s": _took_s(proof)}),
            **_versions(node, info),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Problem(f"{place} does not fit a record", got=first["input"]) from None


def seen_by(virtualization: str) -> SeenBy:
    """Return the kind of machine. Raises ``Problem`` if the node could not tell."""
    if not virtualization:
        what = "it is unknown whether the node is a container, a virtual machine or a server"
        todo = "install systemd-detect-virt (Debian's package systemd) on the node"
        raise Problem(what, todo=todo)
    if virtualization in LAB_CONTAINERS:
        return "lab container"
    if virtualization in CONTAINERS:
        return "container"
    return "server" if virtualization == "none" else "virtual machine"


def image_store(info: DockerInfo) -> str:
    """Return ``overlay2`` or the like, or ``containerd: overlayfs`` for containerd's own store."""
    return f"containerd: {info.driver}" if info.containerd_store else info.driver


def source_kind(source: str) -> Source:
    """Return the kind of a manifest's source, without its host and path, which are private."""
    known: Mapping[str, Source] = {
        OFFICIAL_URL.partition("{")[0]: "official",
        GITHUB_URL.partition("{")[0]: "github",
        f"apt {APT_URL}": "apt",
        "apt ": "apt mirror",
        "Debian's package": "debian",
        "https://": "URL",
        "http://": "URL",
        "/": "file",
    }
    return next((kind for start, kind in known.items() if source.startswith(start)), "unknown")


def _source(node: Node, release: str) -> tuple[str | None, Source | None]:
    """Return the module of a lab build and None, or None and the kind of the release's source."""
    manifest = node.manifests.get(release)
    source = manifest.source if manifest else ""
    if found := _LAB_BUILD.search(source):
        return f"gvisor.dev/gvisor@{found[1]}", None
    return None, source_kind(source)


def _versions(node: Node, info: DockerInfo) -> dict[str, Any]:
    return {
        "kernel": node.kernel,
        "arch": node.arch,
        "cgroup_version": node.cgroup_version,
        "cgroup_driver": info.cgroup_driver,
        "docker": info.server_version,
        "firewall_backend": info.firewall or None,
        "containerd": info.containerd or None,
        "runc": node.runc_version or info.runc or None,
    }


def _distribution(node: Node) -> str:
    name = DISTRIBUTIONS.get(node.distribution, node.distribution)
    words = (node.distribution_version, node.distribution_codename)
    version = next((word for word in words if word != "unknown"), "")  # sid has no VERSION_ID
    return f"{name} {version}".rstrip()


def _init(node: Node) -> Any:
    return "by hand" if node.supervisor.kind == "process" else node.supervisor.kind


def _day(at: str | None) -> date:
    if at is None:
        raise Problem("the date of the node's proof is unknown", todo=_AGAIN)
    return datetime.fromisoformat(at).astimezone(UTC).date()


def _runtimes(runtimes: Mapping[str, Runtime], proof: Any) -> tuple[RuntimeSeen, ...]:
    """Return the runtimes in an order that does not depend on their names."""
    outcomes = proof.get("outcomes") if isinstance(proof, dict) else None
    if not isinstance(outcomes, dict) or set(outcomes) != set(runtimes):
        raise Problem("the node's proof has no results for each runtime", todo=_AGAIN)
    seen = [_runtime(name, item, outcomes[name]) for name, item in runtimes.items()]
    return tuple(sorted(seen, key=lambda item: item.model_dump_json()))


def _runtime(name: str, runtime: Runtime, outcomes: Any) -> RuntimeSeen:
    if not isinstance(outcomes, dict):
        raise Problem("the node's proof is damaged", got=outcomes, todo=_AGAIN)
    return RuntimeSeen(
        network=runtime.network,
        dns=runtime.dns,
        platform=runtime.platform,
        overlay=runtime.overlay,
        hardening=runtime.hardening,
        flags=tuple(sorted({flag.lstrip("-").partition("=")[0] for flag in runtime.flags})),
        ok=outcomes.get("ok", 0),
        accepted=outcomes.get("accepted", 0),
        not_applicable=outcomes.get("n/a", 0),
        asked=_ASKED.get(name, "name"),
    )


def _kernel_surface(host: Audited) -> bool:
    wanted, found = host.settings.part(KernelSettings).kernel, host.node.part(KernelSurface)
    return wanted is not None and plan_kernel(found, wanted).action == "nothing"


def _took_s(proof: Any) -> float | None:
    took_s = proof.get("took_s") if isinstance(proof, dict) else None
    return took_s if isinstance(took_s, int | float) and took_s >= 0 else None
