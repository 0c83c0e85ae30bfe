"""The frame of an operation: read the node, plan or refuse, print the plan, run one command."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from pyinfra import host, logger
from pyinfra.api import Host
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.messages import refusal, tell, tell_diff

T = TypeVar("T")
Commands = Generator[PyinfraCommand, None, None]

_MOST = 60  # lines of a new file that a plan shows


def on_node(
    operation: str,
    about: str,
    body: Callable[[T], Commands],
    read: Callable[[Host], T | None] = read_node,  # type: ignore[assignment]
) -> Commands:
    """
    Run the body of an operation with the state of this host's node.

    + operation: the operation's name, such as ``gvisor.link``
    + about: the file, unit or release that error messages name
    + body: yields the commands; a ``Problem`` that it raises fails the host
    + read: returns the state; None if it cannot be read, which fails the host
    """
    found = read(host)
    if found is None:
        yield from refusal(operation, about, None, unreadable=True)
        return
    try:
        yield from body(found)
    except Problem as problem:
        yield from refusal(operation, about, problem)


def refuse(problem: Problem | None) -> None:
    """Raise the problem, if there is one: the frame then fails the host."""
    if problem:
        raise problem


def converge(
    operation: str,
    about: str,
    plan: Callable[[Node], PartPlan],
    command: Callable[[PartPlan], PyinfraCommand],
    *,
    settled: str,
) -> Commands:
    """
    Run the steps that are the same in the operation of every part.

    + operation: the operation's name, such as ``egress.rules``
    + about: the file or unit that error messages name
    + plan: returns what is to be done on a node, or raises ``Problem``, which fails the host
    + command: returns the command that does it
    + settled: the message if nothing is to be done
    """

    def body(node: Node) -> Commands:
        planned = plan(node)
        for line in planned.lines:
            tell(line)
        for line in planned.warnings:
            tell(line, logger.warning)
        if planned.action in ("nothing", "keep"):
            host.noop(settled)
            return
        for path, (before, after) in planned.texts.items():
            tell_diff(path, before, after, most=_MOST)
        forget_node(host)
        yield command(planned)

    yield from on_node(operation, about, body)
