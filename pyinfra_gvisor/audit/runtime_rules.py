"""What is looked for of runtimes that containers ask for, running or not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.daemon_json.leaving import is_builtin
from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser
from pyinfra_gvisor.errors import cut
from pyinfra_gvisor.policy.findings import Severity


def _unregistered(host: Audited) -> Iterator[Seen]:
    known = host.node.info.runtimes if host.node.info else {}
    for user in host.observed.users:
        if user.runtime in known or _is_no_name(user):
            continue
        what = f"asks for {cut(user.runtime)}, which dockerd does not know"
        if user.running:
            yield Seen(user.name, f"{what}; it runs, and will not start again")
        else:
            yield Seen(user.name, f"{what}; it is stopped", Severity.MEDIUM)


def _is_no_name(user: RuntimeUser) -> bool:
    """Return True if the container asks for a shim of containerd's, or for what dockerd brings."""
    return is_builtin(user.runtime or "runc") or bool(re.search(r"[./]", user.runtime))


def _unknown(host: Audited) -> Iterator[Seen]:
    if error := host.observed.idle_error:
        yield Seen("containers", cut(error))


RUNTIME_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "runtime-unregistered",
        Severity.HIGH,
        "it asks for a runtime that is not registered, so it cannot be started",
        "declare the runtime in gvisor_runtimes and run deploys/gvisor.py, or recreate the "
        "container under another one, or remove it",
        _unregistered,
    ),
    Rule(
        "runtime-users-unknown",
        Severity.LOW,
        "Docker does not list the containers that do not run, so it is not known which runtimes "
        "they need",
        "run the audit again; if it is still so, see dockerd's journal",
        _unknown,
    ),
)
