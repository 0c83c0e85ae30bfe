"""What may stand on a node beside the runtimes: one list, in the order in which it is put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.reach import proxied
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.plan import plan_egress
from pyinfra_gvisor.parts.resolver.plan import lacks
from pyinfra_gvisor.parts.watch.plan import declared_watch, plan_watch
from pyinfra_gvisor.settings import Settings

Stage = Literal["before daemon.json", "before the proof", "last"]


@dataclass(frozen=True)
class Part:
    """
    Something of ours that stands on a node where it is declared, and nowhere else.

    ``name`` is that of its package here, and of its operation's module, in which ``have`` puts it
    there or takes it away. ``stage`` says when a deploy does so; a removal goes the way back.
    ``check`` raises ``Problem`` where a node cannot have what is declared, given what the same run
    makes of daemon.json (None: nobody knows yet); without it nothing is known before it is tried.
    ``needs`` and ``source`` say that for people.
    """

    name: str
    stage: Stage
    declared: Callable[[Settings], bool]
    there: Callable[[Node], bool]
    check: Callable[[Node, Settings, Plan | None], object] | None = None
    needs: str = ""
    source: str = ""

    def refusal(self, node: Node, settings: Settings, plan: Plan | None) -> Problem | None:
        """Why the node cannot have it; None if it can, or if it is not declared."""
        if self.check is None or not self.declared(settings):
            return None
        try:
            self.check(node, settings, plan)
        except Problem as problem:
            return problem
        return None


def at(stage: Stage) -> Iterator[Part]:
    """The parts that a deploy comes to then, in order."""
    return (part for part in PARTS if part.stage == stage)


def refusals(node: Node, settings: Settings, plan: Plan | None = None) -> list[Problem]:
    """
    Why a node cannot have the parts that are declared; none if it can.

    + plan: what the same run makes of daemon.json, None while nobody knows
    """
    found = (part.refusal(node, settings, plan) for part in PARTS)
    return [problem for problem in found if problem]


def names_declared(settings: Settings) -> bool:
    """Whether any runtime has Docker's names on gVisor's own network stack."""
    return any(runtime.dns for runtime in settings.runtimes.values())


def keeps_proxy(settings: Settings) -> bool:
    """Whether dockerd is meant to have its userland-proxy."""
    return settings.wanted_daemon_json().get("userland-proxy") is not False


def _check_resolver(node: Node, _settings: Settings, _plan: Plan | None) -> None:
    problem = lacks(node.resolver, init=node.init)
    if problem:
        raise problem


def _check_egress(node: Node, settings: Settings, plan: Plan | None) -> None:
    """With the daemon.json that the same run writes, which is in force before the rules are."""
    if plan is None and node.init == "systemd":  # whom the rules would cut off is not known yet
        return
    plan_egress(
        node.egress,
        settings.egress,
        init=node.init,
        dns=named_resolvers(node, plan.after if plan else None),
        proxied=proxied(node) and (keeps_proxy(settings) or bool(plan and plan.spared)),
    )


PARTS = (
    Part(
        "kernel",  # what a kernel refuses is only known when it is tried, and is undone then
        "before daemon.json",
        lambda settings: settings.kernel is not None,
        lambda node: node.surface.there,
    ),
    Part(
        "resolver",  # before a runtime is there that asks it; it stays until no container does
        "before daemon.json",
        names_declared,
        lambda node: node.resolver.there,
        _check_resolver,
        "systemd, ip, Python 3.10 or later with asyncio and ctypes, and mounts that propagate from "
        '`/`, if a runtime has `"dns"`',
        "https://docs.python.org/3/library/os.html#os.setns",
    ),
    Part(
        "egress",
        "before the proof",
        lambda settings: settings.egress is not None,
        lambda node: node.egress.there,
        _check_egress,
        "systemd, and `gvisor_egress` cuts neither the node's way out, the controller's ssh, "
        "Docker's DNS nor published ports",
        "[egress.md](egress.md)",
    ),
    Part(
        "watch",
        "last",
        lambda settings: settings.watch,
        lambda node: node.watch.there,
        lambda node, settings, _plan: plan_watch(
            node.watch, declared_watch(settings), init=node.init
        ),
        "systemd, if `gvisor_watch` is set",
        "systemd.timer(5)",
    ),
)
