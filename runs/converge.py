"""Apply or remove a part of a node: plan, print the plan, run one command."""

from __future__ import annotations

from collections.abc import Callable, Generator

from pyinfra import host, logger
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.part_api.plan import PartPlan
from pyinfra_gvisor.runs.messages import refusal, tell, tell_diff


def converge(
    operation: str,
    about: str,
    plan: Callable[[Node], PartPlan],
    command: Callable[[PartPlan], PyinfraCommand],
    *,
    settled: str,
) -> Generator[PyinfraCommand, None, None]:
    """
    Run the steps that are the same in the operation of every part.

    + operation: the operation's name, such as ``egress.rules``
    + about: the file or unit that error messages name
    + plan: returns what is to be done on a node, or raises ``Problem``, which fails the host
    + command: returns the command that does it
    + settled: the message if nothing is to be done
    """
    node = read_node(host)
    if node is None:
        yield from refusal(operation, about, None, unreadable=True)
        return
    try:
        planned = plan(node)
    except Problem as problem:
        yield from refusal(operation, about, problem)
        return
    for line in planned.lines:
        tell(line)
    for line in planned.warnings:
        tell(line, logger.warning)
    if planned.action in ("nothing", "keep"):
        host.noop(settled)
        return
    for path, (before, after) in planned.texts.items():
        tell_diff(path, before, after)
    forget_node(host)
    yield command(planned)
