"""The seal: what a container in a sandbox may not have, as an operator declares it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pyinfra_gvisor.models import Strict

Directory = Annotated[str, StringConstraints(pattern=r"^/[^\x00]*$")]


class Seal(Strict):
    """
    What a sandbox may not have. gVisor does not close these ways to the node, or ignores them.

    ``refuse``: Docker does not start the container, and its error says why. ``strip``: the sandbox
    starts without what was asked for, and the node's journal says so. ``allow``: nothing is done.
    """

    binds: tuple[Directory, ...] = Field(
        (),
        description="Directories of the node from which containers may mount files. Symbolic links "
        "are followed. Volumes of Docker are always allowed, unless they hold files of the node. "
        "`[]`: no mounts of the node's files.",
    )
    annotations: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="Annotations that runsc obeys: `dev.gvisor.*` and `io.kubernetes.cri*`.",
    )
    devices: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="Devices of the node and GPUs. Devices that gVisor implements itself are "
        "always allowed.",
    )
    sysctls: Literal["refuse", "strip", "allow"] = Field(
        "refuse", description="Sysctls. runsc ignores them without a message."
    )
    host_namespaces: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Network, PID, IPC, UTS and user namespaces of the node, and the PID namespace "
        "of another container.",
    )
    privileged: Literal["refuse", "allow"] = Field("refuse", description="`--privileged`.")
