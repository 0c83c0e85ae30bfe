"""The firewall of a node's own: what containers may reach."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import state
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.daemon_json.reach import proxied
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.operations.parts import bring
from pyinfra_gvisor.operations.probation import OPERATION, try_rules
from pyinfra_gvisor.operations.sending import sent
from pyinfra_gvisor.parts.egress.files import RULES
from pyinfra_gvisor.parts.egress.part import keeps_proxy
from pyinfra_gvisor.parts.egress.plan import plan_egress
from pyinfra_gvisor.parts.egress.settings import Egress, EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.plan import PartPlan
from pyinfra_gvisor.settings import Settings


def have(settings: Settings | None) -> None:
    """The firewall that a host's settings ask for, or none; to be called in a deploy."""
    if settings is None:
        rules(wanted=None, name="Remove the firewall")
        return
    rules(
        wanted=settings.part(EgressSettings).egress,
        userland_proxy=keeps_proxy(settings),
        name="Say what containers may reach",
    )


@operation()
def rules(
    wanted: Egress | None, *, userland_proxy: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Have a table of nftables' on the node that says what containers may reach, or none.

    + wanted: what they may reach; None: nothing of the firewall stays
    + userland_proxy: whether dockerd is meant to have its userland-proxy

    The rules are checked first (``nft -c``), replaced all at once, and taken back by the node
    itself unless this controller comes back over a new connection. They are loaded at every boot
    before Docker. Docker's own rules, and those of others, are left alone. Fails the host, with
    nothing changed, where the rules would cut the controller's ssh, Docker's DNS or published
    ports, and where there is no systemd.
    """

    def plan(node: Node) -> PartPlan:
        if wanted is not None and node.info is None:
            raise Problem("Docker does not tell its networks", todo="see why, and run again")
        meant = userland_proxy or state.is_executing  # what is only forecast may be about to change
        return plan_egress(
            node.part(EgressState),
            wanted,
            init=node.init,
            dns=named_resolvers(node),
            proxied=meant and proxied(node),
        )

    def command(planned: PartPlan) -> PyinfraCommand:
        if wanted is None:
            return sent(OPERATION, "egress_remove")
        return try_rules(planned, confirm_s=wanted.confirm_s)

    yield from bring(OPERATION, RULES, plan, command, settled="the firewall is as declared")
