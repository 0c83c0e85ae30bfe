"""
A check of the proof: what it shows, how it is observed, and what the control must show.

Each check is made in a container under the runtime and in a container under runc. Most controls
must show the opposite. Where both must show the same (``same``), the control shows that it can be
observed on this node.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.guarded import is_below
from pyinfra_gvisor.proof.judges import Judge
from pyinfra_gvisor.runtimes.profiles import Runtime

CONTROL = "runc"
MOUNTED = "/usr"  # by every probe: `create` in proof/containers.sh
NAMED = "sandbox with dns"
OWN_STACK = frozenset({"sandbox", NAMED})
ONLINE = frozenset({"host", *OWN_STACK})
ALL = frozenset({"none", *ONLINE})
# gVisor's own network stack cannot reach Docker's resolver: google/gvisor#7469.
WITH_DNS = frozenset({"host", NAMED})


@dataclass(frozen=True)
class Check:
    """
    One observation and its judges. ``sandbox`` judges the container under the runtime, ``control``
    the one under runc; both get the observations of that container and of the node.

    ``observed`` names the observation, ``how`` says how it is made. ``networks`` and ``hardening``
    are those of the runtimes that the check applies to; empty for any hardening. ``sealed``: only
    runtimes with a seal that refuses what the probes mount. ``unless`` says when the check does not
    apply; it then counts as neither passed nor failed. ``cis`` is the id of docker-bench-security's
    rule about the same subject.
    """

    id: str
    shows: str
    how: str
    observed: str
    severity: Severity
    remedy: str
    sandbox: Judge
    control: Judge
    networks: frozenset[str] = ALL
    hardening: str = ""
    sealed: bool = False
    unless: str = ""
    cis: str | None = None

    def is_about(self, runtime: Runtime) -> bool:
        """Return True if the check applies to this runtime."""
        can_show = self.hardening in ("", runtime.hardening) and (
            not self.sealed or refuses_probes(runtime)
        )
        return can_show and _network(runtime) in self.networks

    @property
    def same(self) -> bool:
        """Return True if runc must show the same, and not the opposite."""
        return self.sandbox is self.control


def has_names(runtime: Runtime) -> bool:
    """Return True if names of containers must resolve under this runtime."""
    return _network(runtime) in WITH_DNS


def refuses_probes(runtime: Runtime) -> bool:
    """Return True if this runtime's seal refuses probes, which mount the node's programs."""
    seal = runtime.seal
    return seal is not None and not any(is_below(MOUNTED, path) for path in seal.binds)


def _network(runtime: Runtime) -> str:
    return NAMED if runtime.dns else runtime.network
