"""Apply or remove a node's egress firewall: the rules that say what containers may reach."""

from __future__ import annotations

from pyinfra import state
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.dockerd import dockerd_of
from pyinfra_gvisor.parts.egress.files import RULES
from pyinfra_gvisor.parts.egress.part import keeps_proxy
from pyinfra_gvisor.parts.egress.plan import plan_egress
from pyinfra_gvisor.parts.egress.settings import Egress, EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.planning.preflight import engine_problem
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.probation import OPERATION, try_rules
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.settings import Settings


def apply(settings: Settings) -> None:
    """Apply the firewall that a host's settings declare. Called by a deploy."""
    rules(
        wanted=settings.part(EgressSettings).egress,
        userland_proxy=keeps_proxy(settings),
        name="Apply the egress firewall",
    )


def remove(_settings: Settings | None) -> None:
    """Remove the firewall. Called by a deploy."""
    rules(wanted=None, name="Remove the egress firewall")


@operation()
def rules(wanted: Egress | None, *, userland_proxy: bool = True) -> Commands:
    """
    Apply the nftables table that says what containers may reach, or remove the table.

    + wanted: what containers may reach; None removes the table and its files
    + userland_proxy: whether dockerd is to run with its userland-proxy

    The rules are checked with ``nft -c`` and replaced in one transaction. The node rolls back by
    itself unless this controller confirms over a new SSH connection. At every boot the rules are
    loaded before Docker starts. Rules of Docker and of others are not touched. Fails the host,
    with nothing changed, if the rules would cut the controller's SSH, Docker's DNS or published
    ports, or if the node does not run systemd.
    """

    def plan(node: Node) -> PartPlan:
        # Before execution this run may still be about to install Docker, or to start it again.
        if wanted and node.info is None and (state.is_executing or engine_problem(node, "debian")):
            raise Problem(
                "the list of Docker's networks cannot be read",
                todo="check that `docker network ls` works on the node, then run again",
            )
        # Before execution this run may still be about to turn the userland-proxy off.
        dockerd = dockerd_of(node, proxy=userland_proxy or state.is_executing)
        return plan_egress(node.part(EgressState), wanted, init=node.init, dockerd=dockerd)

    def command(planned: PartPlan) -> PyinfraCommand:
        if wanted is None:
            return run_script(OPERATION, "parts/egress/remove", change="remove")
        return try_rules(planned, confirm_s=wanted.confirm_s)

    yield from converge(OPERATION, RULES, plan, command, settled="the firewall is as declared")
