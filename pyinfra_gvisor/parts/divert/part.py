"""
The place of runc as a part.

It comes after daemon.json, so that the default runtime is proven to work when it gets more to do.
"""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.divert.plan import check_divert
from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.settings import Settings


def _check(node: Node, _settings: Settings, _plan: Plan | None) -> None:
    if node.info is not None:  # else this run installs Docker, and runc with it
        check_divert(node)


PART = Part(
    "divert",
    "before the proof",
    lambda settings: settings.default == "sandbox-all",
    _check,
    'systemd, and runc on the PATH of dockerd, if `gvisor_default` is `"sandbox-all"`',
    "dpkg-divert(1)",
)
