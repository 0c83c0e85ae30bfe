"""The firewall of a node's own: what containers may reach."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host, logger, state
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.network import named_resolvers, proxied
from pyinfra_gvisor.egress.files import RULES
from pyinfra_gvisor.egress.plan import EgressPlan, plan_egress
from pyinfra_gvisor.egress.settings import Egress
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.operations.probation import try_rules
from pyinfra_gvisor.operations.telling import refusal, tell, tell_diff
from pyinfra_gvisor.scripts import script
from pyinfra_gvisor.settings import Settings


def have(settings: Settings | None) -> None:
    """The firewall that a host's settings ask for, or none; to be called in a deploy."""
    if settings is None:
        rules(wanted=None, name="Remove the firewall")
        return
    rules(
        wanted=settings.egress,
        userland_proxy=settings.wanted_daemon_json().get("userland-proxy") is not False,
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
    node = read_node(host)
    if node is None:
        yield from refusal("egress.rules", RULES, None, unreadable=True)
        return
    meant = userland_proxy or state.is_executing  # what is only forecast may be about to change
    try:
        plan = plan_egress(
            node.egress,
            wanted,
            init=node.init,
            dns=named_resolvers(node),
            proxied=meant and proxied(node),
        )
    except Problem as problem:
        yield from refusal("egress.rules", RULES, problem)
        return
    if plan.action == "nothing":
        host.noop("the firewall is as declared")
        return
    _tell(plan)
    forget_node(host)
    if wanted is None:
        yield StringCommand("sh", "-c", QuoteString(script("egress_remove")))
    else:
        yield try_rules(plan, confirm_s=wanted.confirm_s)


def _tell(plan: EgressPlan) -> None:
    for line in plan.lines:
        tell(line)
    for line in plan.risks:
        tell(line, logger.warning)
    tell_diff(RULES, plan.before, plan.after)
