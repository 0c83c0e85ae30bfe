"""
What a check of the proof is: what it shows, how it is observed, and what its control must be.

Every check is made in a container under the runtime and in one under runc. Where runc can show the
opposite it has to; where both must show the same (``same``), runc shows that it can be seen here.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.judges import Judge
from pyinfra_gvisor.runtimes.profiles import Runtime

CONTROL = "runc"
NAMED = "sandbox with dns"
OWN_STACK = frozenset({"sandbox", NAMED})
ONLINE = frozenset({"host", *OWN_STACK})
ALL = frozenset({"none", *ONLINE})
# Docker's resolver is not to be reached from gVisor's own network stack: google/gvisor#7469.
WITH_DNS = frozenset({"host", NAMED})


@dataclass(frozen=True)
class Check:
    """
    One thing to be seen. ``sandbox`` and ``control`` judge what a container under the runtime and
    one under runc showed; they get the observations of that container and of the node.

    ``observed`` is the observation that is shown, ``how`` says how it is made. ``networks`` are
    those of runtimes that can show it, ``hardening`` is the only one with which they can.
    ``unless`` says when it cannot be made; it is then not applicable, and never counts as proven.
    ``cis`` is docker-bench-security's id, where there is one about the same thing.
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
    unless: str = ""
    cis: str | None = None

    def is_about(self, runtime: Runtime) -> bool:
        """Whether this runtime can show it."""
        can_show = self.hardening in ("", runtime.hardening)
        return can_show and _network(runtime) in self.networks

    @property
    def same(self) -> bool:
        """Whether runc must show the same, and not the opposite."""
        return self.sandbox is self.control


def has_names(runtime: Runtime) -> bool:
    """Whether Docker's names are to resolve under this runtime."""
    return _network(runtime) in WITH_DNS


def _network(runtime: Runtime) -> str:
    return NAMED if runtime.dns else runtime.network
