"""The record of one node with proven isolation: only versions and counts, nothing private."""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from pyinfra_gvisor.base.models import Strict

VERSION: Final = 1  # of the record's form; increased if a reader of this form would fail

SeenBy = Literal["lab container", "container", "virtual machine", "server"]
Source = Literal["official", "github", "apt", "apt mirror", "debian", "URL", "file", "unknown"]

# Without slash, so that no path is valid, and of limited length.
Word = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 .,:+~_-]*$", max_length=80)
]
# A Go module at a version: https://go.dev/ref/mod#versions
LabBuild = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9.-]+(/[a-z0-9.-]+)+@v[0-9A-Za-z.+-]+$", max_length=120)
]
Flag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=60)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class RuntimeSeen(Strict):
    """A runtime without its name, and the results of the proof's checks in that runtime."""

    network: Literal["host", "sandbox", "none"]
    dns: Literal["docker"] | None
    platform: Literal["systrap", "kvm", "ptrace"] | None
    overlay: Literal["none", "self", "memory"]
    hardening: Literal["standard", "strict"] = "standard"
    flags: tuple[Flag, ...] = Field((), description="Names of other flags, without values.")
    ok: Count
    accepted: Count = Field(description="Not proven; the operator has accepted this danger.")
    not_applicable: Count
    failed: Literal[0] = 0
    asked: Literal["name", "nothing", "runc"] = Field(
        "name", description="What the container asked for; `nothing`: `gvisor_default`."
    )


class Timings(Strict):
    """Durations of the proof and of the run, in seconds."""

    proof_s: Seconds | None = Field(description="The controller's wait for the proof's probes.")
    run_s: Seconds | None = Field(
        description="From the first read of a host's settings to this record, for all hosts of "
        "the run. None if pyinfra may have waited for a person."
    )
    hosts: Annotated[int, Field(ge=1)] = Field(description="Number of hosts in that run.")
    changes: Count = Field(description="Operations of that run that changed this node.")


class Record(Strict):
    """One node: its versions, and its valid proof."""

    version: Literal[1] = VERSION
    date: datetime.date = Field(description="The UTC day of the proof.")
    seen_by: SeenBy
    distribution: Word
    kernel: Word
    arch: Literal["x86_64", "aarch64"]
    cgroup_version: Literal[1, 2]
    cgroup_driver: Word
    init: Literal["systemd", "openrc", "sysvinit", "by hand"]
    docker: Word
    docker_lab_build: LabBuild | None = Field(
        None,
        description="The Go module that the lab built dockerd from; set when the record is added. "
        "None for a packaged dockerd.",
    )
    image_store: Word
    firewall_backend: Word | None = Field(
        None, description="The backend of Docker's firewall rules. None before Docker 28.1."
    )
    containerd: Word | None
    runc: Word | None
    runsc: Word
    runsc_source: Source | None = Field(description="The kind of source. None for a lab build.")
    runsc_lab_build: LabBuild | None
    runtimes: Annotated[tuple[RuntimeSeen, ...], Field(min_length=1)]
    firewall: bool = Field(description="`gvisor_egress` is declared and its rules are active.")
    kernel_surface: bool = Field(description="`gvisor_kernel` is declared and in effect.")
    names: bool = Field(description='A runtime has `"dns": "docker"`.')
    timings: Timings
