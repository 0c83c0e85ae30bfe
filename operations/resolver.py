"""Docker's names for sandboxes that have gVisor's own network stack."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.operations.parts import bring
from pyinfra_gvisor.operations.sending import sent
from pyinfra_gvisor.parts.plan import PartPlan
from pyinfra_gvisor.parts.resolver.files import NAME
from pyinfra_gvisor.parts.resolver.part import names_declared
from pyinfra_gvisor.parts.resolver.plan import lacks, plan_resolver
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.runtimes.wrappers import ADDRESS, ADDRESS6
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.wanted import planned, without_us

OPERATION = "resolver.resolver"


def have(settings: Settings | None) -> None:
    """The resolver if a host's settings ask for it, or none; to be called in a deploy."""
    if settings is None:
        resolver(wanted=False, name="Remove the resolver")
        return
    resolver(
        wanted=names_declared(settings),
        textfile_dir=settings.textfile_dir,
        settings=settings,
        name="Answer sandboxes' queries for names",
    )


@operation()
def resolver(
    wanted: bool, *, textfile_dir: str | None = None, settings: Settings | None = None
) -> Generator[PyinfraCommand, None, None]:
    """
    Have a resolver on the node that answers sandboxes as Docker's own does, or none.

    + wanted: whether it is to be there; it stays, and runs, as long as a container may ask it
    + textfile_dir: where its metrics for Prometheus' node exporter go; None for none
    + settings: what is declared for the host; None: nothing is any more

    Its sockets are systemd's, so that nothing is lost when it is restarted. Fails the host, with
    nothing changed, where there is no systemd, no Python of 3.10 or later, or no such directory,
    and where mounts do not propagate from the node's root.
    """

    def plan(node: Node) -> PartPlan:
        found = node.part(ResolverState)
        problem = lacks(found, init=node.init) if wanted else None
        if problem:
            raise problem
        users, named = [] if wanted else _used_by(node, settings), named_resolvers(node)
        return plan_resolver(found, wanted, used_by=users, named=named, textfile_dir=textfile_dir)

    def command(planned: PartPlan) -> PyinfraCommand:
        if planned.action == "remove":
            names = ("resolver_metrics", "resolver_remove")
            return sent(OPERATION, *names, resolver=ADDRESS, resolver6=ADDRESS6)
        return sent(
            OPERATION,
            "resolver_metrics",
            "resolver_install",
            files=planned.files,
            textfile_dir=textfile_dir or "",
        )

    yield from bring(OPERATION, NAME, plan, command, settled="the resolver is as declared")


def _used_by(node: Node, settings: Settings | None) -> list[str]:
    """
    Return the containers that may ask the resolver.

    They run with it, or they need a runtime that ``gvisor_keep_running`` keeps: nothing else tells
    of a stopped container whether it would ask.
    """
    found = node.part(ResolverState)
    asks = list(node.names_of(found.asks))
    if node.pending or not found.there:  # what daemon.json will be is not known before
        return asks
    ask = asking(host)
    plan = without_us(node, ask) if settings is None else planned(node, settings, ask)
    kept = (name for containers in plan.kept.values() for name in containers)
    return [*dict.fromkeys((*asks, *kept))]
