"""Measure what a sandbox costs on a node."""

from __future__ import annotations

from functools import partial

from pyinfra import host
from pyinfra.api import operation

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.costs.measured import costs as costs_of
from pyinfra_gvisor.costs.script import limit_s, measure_script
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.run_support.converge import Commands, on_node, refuse
from pyinfra_gvisor.run_support.ending import only_looks
from pyinfra_gvisor.run_support.messages import tell_detail
from pyinfra_gvisor.run_support.probing import probe
from pyinfra_gvisor.settings import Settings


@operation(is_idempotent=False)
def costs(settings: Settings) -> Commands:
    """
    Do the same work in containers of our own under runc and under each declared runtime.

    + settings: what is declared for the host

    Tells the ratios. Takes two minutes, in which no proof and no audit of the node can run. Leaves
    nothing on the node. Fails the host if nothing could be measured.
    """

    def body(node: Node) -> Commands:
        refuse(_problem(node, settings))
        only_looks(host)
        tell_detail(
            f"measure {', '.join(settings.runtimes)} in containers, and runc as the control"
        )
        yield probe(
            "measure.costs",
            measure_script(settings),
            limit_s(settings),
            partial(costs_of, runtimes=(*settings.runtimes,)),
        )

    yield from on_node("measure.costs", "node", body)


def _problem(node: Node, settings: Settings) -> Problem | None:
    """Return why nothing can be measured; None if it can."""
    if not settings.runtimes:
        what = "no runtime is declared for this host"
        return Problem(what, todo="write gvisor_runtimes, or choose other hosts with --limit")
    known = node.info.runtimes if node.info else {}
    if missing := sorted({*settings.runtimes} - {*known}):
        what = f"dockerd does not have the runtime {', '.join(missing)}"
        return Problem(what, todo="run pyinfra-gvisor apply first")
    return None
