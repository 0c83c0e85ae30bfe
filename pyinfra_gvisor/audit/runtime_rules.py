"""Rules about the runtimes that running and stopped containers need."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.daemon_json.removed_runtimes import is_builtin
from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser
from pyinfra_gvisor.policy.findings import Severity


def _unregistered(host: Audited) -> Iterator[Observation]:
    known = host.node.info.runtimes if host.node.info else {}
    for user in host.observed.users:
        if user.runtime in known or _is_no_name(user):
            continue
        what = f"runtime {cut(user.runtime)} is not registered in dockerd"
        if user.running:
            yield Observation(user.name, f"{what}; the container runs now")
        else:
            yield Observation(user.name, f"{what}; the container is stopped", Severity.MEDIUM)


def _is_no_name(user: RuntimeUser) -> bool:
    """Return True if the runtime is a containerd shim or built into dockerd, so needs no entry."""
    return is_builtin(user.runtime or "runc") or bool(re.search(r"[./]", user.runtime))


def _unknown(host: Audited) -> Iterator[Observation]:
    if error := host.observed.idle_error:
        yield Observation("containers", cut(error))


RUNTIME_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "runtime-unregistered",
        Severity.HIGH,
        "Docker cannot start this container again: its runtime is not registered",
        "Declare the runtime in gvisor_runtimes and run pyinfra-gvisor apply. Or recreate the "
        "container with another runtime, or remove it",
        _unregistered,
    ),
    Rule(
        "runtime-users-unknown",
        Severity.LOW,
        "Docker does not list stopped containers, so it is unknown which runtimes they need",
        "Run the audit again. If this finding remains, read journalctl -u docker",
        _unknown,
    ),
)
