"""The seal: what a container in a sandbox may not have, as an operator declares it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import PatternText, Strict
from pyinfra_gvisor.policy.guarded import GUARDED, given_away
from pyinfra_gvisor.policy.selectors import Reason

Directory = Annotated[
    str,
    PatternText(
        r"/|(/(?!\.\.?(/|$))[^/\x00-\x1f]+)+",
        "a plain absolute path",
        "write such a path, without . and .. and without a slash at its end",
    ),
]

# What each way opens if it is allowed. runsc ignores sysctls, so they open nothing.
OPENS = {
    "annotations": "containers may set annotations that runsc obeys",
    "devices": "containers may have devices of the node",
    "host_namespaces": "containers may share namespaces of the node and of any container",
    "log_drivers": "dockerd connects to addresses that containers choose",
    "network_volumes": "the node mounts file systems of the network for containers",
    "privileged": "containers may be privileged",
}


class Seal(Strict):
    """
    What a sandbox may not have. gVisor does not close these ways to the node, or ignores them.

    ``refuse``: Docker does not start the container, and its error says why. ``strip``: the sandbox
    starts without what was asked for, and the node's journal says so. ``allow``: nothing is done,
    which needs a ``reason`` for every kind but sysctls.
    """

    binds: tuple[Directory, ...] = Field(
        (),
        description="Directories of the node from which containers may mount files. Symbolic links "
        "are followed. Volumes of Docker are always allowed, unless they hold files of the node. "
        "A directory that opens the node itself, such as `/etc`, needs a `reason`. `[]`: no mounts "
        "of the node's files. The time zone may be mounted in any case, read-only: "
        "`/etc/localtime` and `/etc/timezone`.",
    )
    annotations: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="Annotations that runsc or containerd obeys: `dev.gvisor.*`, "
        "`io.kubernetes.cri*`, `io.containerd.runc.*`.",
    )
    devices: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="Devices of the node and GPUs. Devices that gVisor implements itself are "
        "always allowed.",
    )
    sysctls: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="Sysctls. runsc ignores them without a message. Two that many images ask for "
        "by habit are removed in any case: `net.core.somaxconn` and "
        "`net.ipv4.ip_unprivileged_port_start`.",
    )
    host_namespaces: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Network, PID, IPC, UTS and user namespaces of the node, the PID namespace of "
        "another container, and other namespaces of a container outside of gVisor. User "
        "namespaces count only with userns-remap.",
    )
    log_drivers: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Log drivers other than `json-file`, `local`, `journald` and `none`: dockerd "
        "would connect to an address that the container gives. Also options of `journald` with "
        "which its lines pass for those of the node. What daemon.json says is always allowed.",
    )
    network_volumes: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Volumes with a file system of the network, such as NFS. The node connects to "
        "it, so the firewall does not see it.",
    )
    privileged: Literal["refuse", "allow"] = Field("refuse", description="`--privileged`.")
    reason: Reason | None = Field(
        None,
        description="Why you allow what opens the node, in 10 characters or more. Every output "
        "repeats this reason. `None`: such a seal is refused.",
    )

    @model_validator(mode="after")
    def _reasoned(self) -> Seal:
        if not self.reason and (found := self.dangers()):
            what = f"a reason is required for: {'; '.join(found)}"
            raise Problem(what, todo='refuse this, or add "reason": "<10 characters or more>"')
        return self

    def dangers(self) -> tuple[str, ...]:
        """Return what this seal allows although it opens the node, a phrase each."""
        allowed = [
            f"{what} ({key})" for key, what in OPENS.items() if getattr(self, key) == "allow"
        ]
        return (*allowed, *(f"containers may mount {path} (binds)" for path in self._guarded()))

    def _guarded(self) -> list[str]:
        """Return the directories of ``binds`` whose files are the node's own."""
        known = [(item, (item.path,)) for item in GUARDED]
        return [path for path in self.binds if any(given_away([path], known, writable=True))]

    def rules(self) -> dict[str, Any]:
        """Return the seal as the judge reads it."""
        return self.model_dump(exclude={"reason"})
