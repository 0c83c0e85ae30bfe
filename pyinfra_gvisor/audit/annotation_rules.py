"""Rules about a container's annotations: runsc and its shim obey them, whoever sets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyinfra_gvisor.audit.rules import Observation, Rule, Running
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.runtimes.unsafe_flags import dangers

FLAG = "dev.gvisor.flag."  # runsc/specutils: such an annotation sets a flag of runsc
OBEYED = ("dev.gvisor", "io.kubernetes.cri")  # as node/docker_state.pl chooses


@dataclass(frozen=True)
class Annotation:
    """
    An annotation, and what it does to the container or the node.

    ``name`` is the whole name; with a dot or dash at its end it is a prefix of names.
    """

    name: str
    what: str
    severity: Severity
    source: str

    def is_named(self, name: str) -> bool:
        """Return True if this row describes the annotation ``name``."""
        return name == self.name or (self.name[-1] in ".-" and name.startswith(self.name))


SPECUTILS = "google/gvisor, runsc/specutils/specutils.go"
HINTS = "google/gvisor, runsc/boot/mount_hints.go"
CRI = "google/gvisor, runsc/specutils/cri.go"
LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL

# The first matching row counts. An annotation without a row is dangerous: runsc may obey it.
ANNOTATIONS = (
    Annotation("dev.gvisor.bundle.", "sets groups of runsc's flags", HIGH, SPECUTILS),
    Annotation("dev.gvisor.spec.rootfs.source", "opens any path of the node", CRITICAL, HINTS),
    Annotation("dev.gvisor.spec.rootfs.type", "opens any path of the node", CRITICAL, HINTS),
    Annotation("dev.gvisor.spec.rootfs.", "overrides the runtime's overlay", MEDIUM, HINTS),
    Annotation(
        "dev.gvisor.spec.mount.", "changes how mounts are shared and where they lie", MEDIUM, HINTS
    ),
    Annotation(
        "dev.gvisor.spec.cgroup-parent",
        "moves the sandbox into another cgroup, away from its limits",
        HIGH,
        "google/gvisor, runsc/container/container.go",
    ),
    Annotation("dev.gvisor.tar.rootfs.upper", "unpacks a tar file of the node", HIGH, SPECUTILS),
    Annotation("dev.gvisor.tar.rootfs.upper.", "unpacks a tar file of the node", HIGH, SPECUTILS),
    Annotation(
        "dev.gvisor.internal.nvproxy",
        "opens the host's GPU driver",
        HIGH,
        "google/gvisor, runsc/specutils/nvidia.go",
    ),
    Annotation("dev.gvisor.internal.tpuproxy", "opens the host's TPU driver", HIGH, SPECUTILS),
    Annotation("dev.gvisor.internal.seccomp.", "drops the seccomp profile", MEDIUM, SPECUTILS),
    Annotation(
        "dev.gvisor.internal.checkpoint.",
        "writes files at any path of the node, as its root",
        HIGH,
        "google/gvisor, runsc/boot/restore.go",
    ),
    Annotation(
        "dev.gvisor.internal.fscheckpoint.",
        "writes files at any path of the node, as its root",
        HIGH,
        "google/gvisor, runsc/boot/fscheckpoint.go",
    ),
    Annotation(
        "dev.gvisor.internal.cpufeatures", "hides features of the processor", LOW, SPECUTILS
    ),
    Annotation(
        "dev.gvisor.container-name-remap.",
        "renames the container in checkpoints",
        LOW,
        SPECUTILS,
    ),
    Annotation(
        "dev.gvisor.empty-dir.",
        "affects Kubernetes volumes only",
        LOW,
        "google/gvisor, pkg/shim/v1/utils/volumes.go",
    ),
    Annotation(
        "io.kubernetes.cri.sandbox-log-directory",
        "makes runsc write logs into any directory of the node",
        HIGH,
        "google/gvisor, pkg/shim/v1/utils/utils.go",
    ),
    Annotation(
        "io.kubernetes.cri.container-name", "is a name that other annotations refer to", LOW, CRI
    ),
    Annotation(
        "io.kubernetes.cri.sandbox-name",
        "is a name in metrics",
        LOW,
        "google/gvisor, runsc/sandbox/sandbox.go",
    ),
    Annotation(
        "io.kubernetes.cri.sandbox-namespace",
        "is a name in metrics",
        LOW,
        "google/gvisor, runsc/sandbox/sandbox.go",
    ),
    Annotation("io.kubernetes.cri", "may put the container into another one's sandbox", HIGH, CRI),
    Annotation("io.kubernetes.cri.", "may put the container into another one's sandbox", HIGH, CRI),
    Annotation(
        "io.kubernetes.cri-o.", "may put the container into another one's sandbox", HIGH, CRI
    ),
)
UNKNOWN = Annotation("dev.gvisor.", "is unknown to this audit; runsc may obey it", HIGH, SPECUTILS)


def known(name: str) -> Annotation:
    """Return the table's row for the annotation ``name``; ``UNKNOWN`` if no row matches."""
    return next((row for row in ANNOTATIONS if row.is_named(name)), UNKNOWN)


def _flags(running: Running) -> Iterator[tuple[Severity, str]]:
    flags = {
        name.removeprefix(FLAG): value
        for name, value in running.given.annotations.items()
        if name.startswith(FLAG)
    }
    if not flags:
        return
    profile = running.profile
    network = profile.network if profile else "sandbox"
    opened = dangers([f"--{name}={value}" for name, value in flags.items()], network)
    evidence = ", ".join(f"{FLAG}{cut(name)}={cut(value)}" for name, value in flags.items())
    if opened:
        yield HIGH, f"{evidence} opens {', '.join(flag.what for _, flag in opened)}"
    else:
        yield LOW, evidence


def _annotations(running: Running) -> Iterator[Observation]:
    """Report annotations whatever the policy says: they change the sandbox of any container."""
    found = list(_flags(running))
    for name, value in running.given.annotations.items():
        if name.startswith(OBEYED) and not name.startswith(FLAG):
            row = known(name)
            found.append((row.severity, f"{cut(name)}={cut(value)} {row.what}"))
    if found:
        evidence = "; ".join(words for _, words in found)
        worst = max((severity for severity, _ in found), key=lambda severity: severity.rank)
        yield Observation(running.container.name, evidence, worst)


ANNOTATION_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "container-annotation",
        Severity.HIGH,
        "Has an annotation that changes its sandbox",
        "Recreate the container without the annotation. Set options of a runtime in "
        "gvisor_runtimes instead",
        _annotations,
    ),
)
