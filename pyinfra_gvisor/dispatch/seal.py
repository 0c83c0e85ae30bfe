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
        description="Directories of the node that containers may mount; links are followed. One "
        "that opens the node, such as `/etc`, needs a `reason`. Always allowed: Docker's volumes, "
        "unless they hold files of the node; `/etc/localtime` and `/etc/timezone`, read-only.",
    )
    annotations: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="Those that runsc or containerd obeys: `dev.gvisor.*`, `io.kubernetes.cri*`, "
        "`io.containerd.runc.*`.",
    )
    devices: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="Devices of the node and GPUs. Always allowed: devices that gVisor implements "
        "itself.",
    )
    sysctls: Literal["refuse", "strip", "allow"] = Field(
        "refuse",
        description="runsc ignores them silently. Always removed: `net.core.somaxconn`, "
        "`net.ipv4.ip_unprivileged_port_start`.",
    )
    host_namespaces: Literal["refuse", "allow"] = Field(
        "refuse",
        description="The node's namespaces, another container's PID namespace, other namespaces of "
        "a container outside of gVisor. User namespaces count only with userns-remap.",
    )
    log_drivers: Literal["refuse", "allow"] = Field(
        "refuse",
        description="All but `json-file`, `local`, `journald`, `none`: dockerd connects for them. "
        "Also `journald` options that imitate the node's lines. Always allowed: what daemon.json "
        "says.",
    )
    network_volumes: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Such as NFS: the node connects, so the firewall does not see it.",
    )
    privileged: Literal["refuse", "allow"] = Field("refuse", description="`--privileged`.")
    reason: Reason | None = Field(
        None,
        description="Why you allow what opens the node, in 10 characters or more; every output "
        "repeats it. `None`: refuse it.",
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
        return [path for path in self.binds if opens_node(path)]

    def rules(self) -> dict[str, Any]:
        """Return the seal as the judge reads it."""
        return self.model_dump(exclude={"reason"})


def opens_node(path: str) -> bool:
    """Return True if a container that mounts ``path`` has files by which the node is controlled."""
    return any(given_away([path], [(item, (item.path,)) for item in GUARDED], writable=True))
