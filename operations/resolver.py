"""Install or remove the resolver: Docker's DNS for sandboxes with gVisor's own network stack."""

from __future__ import annotations

from typing import Any

from pyinfra import host
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.resolver.files import NAME
from pyinfra_gvisor.parts.resolver.plan import lacks, plan_resolver
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.planning.wanted import plan_for_settings, plan_without_us
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.runtimes.wrappers import ADDRESS, ADDRESS6
from pyinfra_gvisor.settings import Settings

OPERATION = "resolver.resolver"


def apply(settings: Settings) -> None:
    """Install the resolver as a host's settings declare. Called by a deploy."""
    resolver(
        wanted=True,
        textfile_dir=settings.textfile_dir,
        settings=settings,
        name="Install the DNS resolver for sandboxes",
    )


def remove(settings: Settings | None) -> None:
    """Remove the resolver, unless a container may still use it. Called by a deploy."""
    textfile_dir = settings.textfile_dir if settings else None
    resolver(
        wanted=False,
        textfile_dir=textfile_dir,
        settings=settings,
        name="Remove the DNS resolver for sandboxes",
    )


@operation()
def resolver(
    wanted: bool, *, textfile_dir: str | None = None, settings: Settings | None = None
) -> Commands:
    """
    Install the resolver that answers sandboxes as Docker's embedded DNS server does, or remove it.

    + wanted: whether to install it; if False, it keeps running while a container may query it
    + textfile_dir: directory for its Prometheus metrics (node exporter); None writes no metrics
    + settings: the host's settings; None if everything of this package is removed

    systemd holds its sockets, so no query is lost when it restarts. Fails the host, with nothing
    changed, if the node has no systemd, no Python 3.10 or later or no such directory, or if ``/``
    is not a shared mount.
    """

    def plan(node: Node) -> PartPlan:
        found = node.part(ResolverState)
        problem = lacks(found, node.python, init=node.init) if wanted else None
        if problem:
            raise problem
        users, named = [] if wanted else _used_by(node, settings), named_resolvers(node)
        return plan_resolver(found, wanted, used_by=users, named=named, textfile_dir=textfile_dir)

    def command(plan_for_settings: PartPlan) -> PyinfraCommand:
        if plan_for_settings.action == "remove":
            names = ("parts/resolver/metrics", "parts/resolver/remove")
            addresses: dict[str, Any] = {"resolver": ADDRESS, "resolver6": ADDRESS6}
            return run_script(OPERATION, *names, change="remove", **addresses)
        return run_script(
            OPERATION,
            "parts/resolver/metrics",
            "parts/resolver/install",
            change="apply",
            files=plan_for_settings.files,
            textfile_dir=textfile_dir or "",
        )

    yield from converge(OPERATION, NAME, plan, command, settled="the resolver is as declared")


def _used_by(node: Node, settings: Settings | None) -> list[str]:
    """
    Return the names of the containers that may query the resolver.

    Those are containers that run with the resolver, and containers that need a runtime that
    ``gvisor_keep_running`` keeps: whether a stopped container would query it is not recorded
    anywhere else.
    """
    found = node.part(ResolverState)
    asks = list(node.names_of(found.asks))
    if node.pending or not found.there:  # The next daemon.json is not known yet.
        return asks
    ask = asking(host)
    plan = (
        plan_without_us(node, ask) if settings is None else plan_for_settings(node, settings, ask)
    )
    kept = (name for containers in plan.kept.values() for name in containers)
    return [*dict.fromkeys((*asks, *kept))]
