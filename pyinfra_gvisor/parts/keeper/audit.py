"""Audit the keeper: does it run, as declared?"""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.parts.keeper.files import NAME
from pyinfra_gvisor.parts.keeper.plan import WITHOUT_SYSTEMD, declared_files, declared_keeps
from pyinfra_gvisor.parts.keeper.state import KeeperState
from pyinfra_gvisor.policy.findings import Severity


def _down(host: Audited) -> Iterator[Observation]:
    found, keeps = host.node.part(KeeperState), declared_keeps(host.expected)
    if keeps and host.node.init != "systemd":
        yield Observation(NAME, f"{WITHOUT_SYSTEMD}: {', '.join(keeps)}", Severity.INFO)
    elif keeps and not found.runs:
        timer = "not enabled" if found.timer == "active" else found.timer or "missing"
        yield Observation(NAME, f"its timer is {timer}; nothing checks {', '.join(keeps)}")


def _files(host: Audited) -> Iterator[Observation]:
    found = host.node.part(KeeperState)
    if found.there and host.node.init == "systemd" and declared_keeps(host.expected):
        for path in found.other(declared_files(host.node, host.expected)):
            is_there = path in found.files
            yield Observation(
                path, "the file is not as declared" if is_there else "the file is missing"
            )


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "keeper-down",
        Severity.HIGH,
        "The keeper does not run, so nothing on the node notices or restores changed protections",
        "Run pyinfra-gvisor apply, or systemctl enable --now pyinfra-gvisor-keeper.timer",
        _down,
    ),
    Rule(
        "keeper-not-as-declared",
        Severity.MEDIUM,
        "The files of the keeper are missing, or differ from what is declared",
        "Run pyinfra-gvisor apply",
        _files,
    ),
)
