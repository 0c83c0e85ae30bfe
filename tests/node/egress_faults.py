"""Firewall rules that stay unconfirmed, because their controller never confirms them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.loaded_pyinfra import Started
from tests.node.egress_nodes import RULES, TABLE, Ground
from tests.node.faults import kill, wait_for
from tools.lab import LabNode

DENIED = "198.51.100.0/24"  # RFC 5737, TEST-NET-2
NEW: dict[str, Any] = {**RULES, "deny": [DENIED]}
CANDIDATE = "/opt/gvisor/egress/candidate.nft"
TIMER = "pyinfra-gvisor-egress-revert.timer"

_DEPLOY = """
import time

from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.operations import egress
from pyinfra_gvisor.run_support import probation

run_script = probation.run_script


def waiting(operation, *names, **given):
    if "parts/egress/confirm" in names:
        time.sleep(600)
    return run_script(operation, *names, **given)


probation.run_script = waiting
egress.rules(wanted=Egress.model_validate({rules!r}))
"""


@contextmanager
def on_probation(ground: Ground, name: str, *, confirm_s: int) -> Iterator[Started]:
    """Load other rules that nobody confirms; kill their controller in the end."""
    path = ground.fleet.directory / "rules.py"
    path.write_text(_DEPLOY.format(rules={**NEW, "confirm_s": confirm_s}))
    controller = ground.fleet.start(name, {}, deploy=str(path))
    try:
        wait_for(ground.nodes[name], f"nft list table {TABLE} | grep -q {DENIED}")
        yield controller
    finally:
        kill(controller)


def pending(node: LabNode) -> list[str]:
    """Return the files and timer of unconfirmed rules; empty if there are none."""
    there = node.exec("test", "-e", CANDIDATE).code == 0
    timer = node.exec("systemctl", "is-active", TIMER).stdout.strip()
    return [*([CANDIDATE] if there else []), *([TIMER] if timer == "active" else [])]
