"""Docker's names for sandboxes that have gVisor's own network stack."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.operations.telling import refusal, tell
from pyinfra_gvisor.parts import names_declared
from pyinfra_gvisor.resolver.files import ADDRESS, ADDRESS6, NAME
from pyinfra_gvisor.resolver.plan import ResolverPlan, lacks, plan_resolver
from pyinfra_gvisor.scripts import script
from pyinfra_gvisor.settings import Settings


def have(settings: Settings | None) -> None:
    """The resolver if a host's settings ask for it, or none; to be called in a deploy."""
    if settings is None:
        resolver(wanted=False, name="Remove the resolver")
        return
    resolver(
        wanted=names_declared(settings),
        textfile_dir=settings.textfile_dir,
        name="Answer sandboxes' queries for names",
    )


@operation()
def resolver(
    wanted: bool, *, textfile_dir: str | None = None
) -> Generator[PyinfraCommand, None, None]:
    """
    Have a resolver on the node that answers sandboxes as Docker's own does, or none.

    + wanted: whether it is to be there; it stays, and runs, as long as a container asks it
    + textfile_dir: where its metrics for Prometheus' node exporter go; None for none

    Its sockets are systemd's, so that nothing is lost when it is restarted. Fails the host, with
    nothing changed, where there is no systemd, no Python of 3.10 or later, or no such directory,
    and where mounts do not propagate from the node's root.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("resolver.resolver", NAME, None, unreadable=True)
        return
    try:
        plan = _plan(node, wanted, textfile_dir)
    except Problem as problem:
        yield from refusal("resolver.resolver", NAME, problem)
        return
    for line in plan.lines:
        tell(line)
    if plan.action in ("nothing", "keep"):
        host.noop("the resolver is as declared")
        return
    forget_node(host)
    yield _command(plan, textfile_dir)


def _plan(node: Node, wanted: bool, textfile_dir: str | None) -> ResolverPlan:
    problem = lacks(node.resolver, init=node.init) if wanted else None
    if problem:
        raise problem
    names = {item.id: item.name for item in node.containers}
    return plan_resolver(
        node.resolver,
        wanted,
        used_by=[names.get(item, item[:12]) for item in node.resolver.asks],
        named=named_resolvers(node),
        textfile_dir=textfile_dir,
    )


def _command(plan: ResolverPlan, textfile_dir: str | None) -> StringCommand:
    if plan.action == "remove":
        addresses = {"resolver": ADDRESS, "resolver6": ADDRESS6}
        text = script("resolver_metrics", "resolver_remove", **addresses)
        return StringCommand("sh", "-c", QuoteString(text))
    parts = ("put_files", "resolver_metrics", "resolver_install")
    text = script(*parts, host=host.name, textfile_dir=textfile_dir or "")
    words = [word for item in plan.files for word in item.words]
    return StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, words))
