"""The egress firewall as a part."""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.dockerd import dockerd_of
from pyinfra_gvisor.parts.egress.plan import plan_egress
from pyinfra_gvisor.parts.egress.settings import EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.settings import Settings


def keeps_proxy(settings: Settings) -> bool:
    """Return True unless the settings turn dockerd's userland-proxy off."""
    return settings.wanted_daemon_json().get("userland-proxy") is not False


def _check(node: Node, settings: Settings, plan: Plan | None) -> None:
    """Raise ``Problem`` if the firewall cannot be applied with the daemon.json of this run."""
    if plan is None and node.init == "systemd":  # What the rules would cut is not known yet.
        return
    proxy = keeps_proxy(settings) or bool(plan and plan.spared)
    plan_egress(
        node.part(EgressState),
        settings.part(EgressSettings).egress,
        init=node.init,
        dockerd=dockerd_of(node, proxy=proxy, text=plan.after if plan else None),
    )


PART = Part(
    "egress",
    "before the proof",
    lambda settings: settings.part(EgressSettings).egress is not None,
    _check,
    "systemd, and rules that do not cut the node's uplink, the controller's SSH, Docker's DNS or "
    "published ports",
    "docs/egress.md",
    key="egress",
    title="the egress firewall",
)
