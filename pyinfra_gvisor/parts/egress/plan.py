"""What has to be done so that a node's firewall is as declared, or gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.parts.egress.files import DIRECTORY, RULES, SERVICE, kept_files
from pyinfra_gvisor.parts.egress.lockout import lockouts
from pyinfra_gvisor.parts.egress.rules import TABLE, rules_text
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.egress.surroundings import (
    Surroundings,
    foreign,
    literal,
    outside,
    surroundings,
)
from pyinfra_gvisor.parts.plan import PartPlan


def wanted_rules(found: EgressState, egress: Egress, dns: Iterable[str] = ()) -> str:
    """The rules as they have to be on this node; ``dns``: the resolvers that daemon.json names."""
    return rules_text(egress, surroundings(found, egress, dns))


def differences(found: EgressState, wanted: str) -> list[str]:
    """In what a node's firewall is not as it has to be, a phrase each; none if it is."""
    other = [item.path for item in kept_files(wanted) if not item.is_as(found.files.get(item.path))]
    return [*(f"{path} is not as declared" for path in other), *out_of_force(found)]


def out_of_force(found: EgressState) -> list[str]:
    """Why the rules that lie on a node are not those in force, now or behind its next boot."""
    loaded = found.now is not None
    said = {
        "rules wait to be confirmed": found.pending,
        f"no table {TABLE} is in the kernel": not loaded,
        f"table {TABLE} is not as it was loaded": loaded and not found.in_force,
        f"what is loaded is not {RULES}": found.in_force and found.is_other_file,
        "its unit is not enabled": not found.enabled,
        f"its unit is {found.unit}": found.unit not in (None, "active"),
    }
    return [text for text, is_so in said.items() if is_so]


def plan_egress(
    found: EgressState,
    egress: Egress | None,
    *,
    init: str,
    dns: Iterable[str] = (),
    proxied: bool = False,
) -> PartPlan:
    """
    What to do so that the firewall is as declared, or gone.

    + egress: None for no firewall
    + init: the node's first process
    + dns: the resolvers that daemon.json names
    + proxied: whether dockerd has its userland-proxy

    The plan's ``warnings`` are refusals that were overruled, networks that stay outside, and
    bridges that are not Docker's and are filtered all the same.

    Raises ``Problem`` where the rules would lock out who must not be, or cannot be kept.
    """
    if egress is None:
        return _removal(found)
    if init != "systemd":
        todo = "leave gvisor_egress out for this node, and keep a firewall of its own"
        raise Problem("the firewall needs systemd on the node, which loads it", got=init, todo=todo)
    dns = tuple(dns)
    around = surroundings(found, egress, dns)
    text = rules_text(egress, around)
    risks = _risks(lockouts(found, egress, around, dns=dns, proxied=proxied), egress)
    different = differences(found, text)
    if not different:
        return PartPlan()
    return PartPlan(
        "have",
        (*(different if found.files else ()), *_lines(found, egress, around)),
        (*risks, *_surprises(found, egress)),
        kept_files(text),
        texts={RULES: (found.rules, text)},
    )


def _risks(problems: list[Problem], egress: Egress) -> tuple[str, ...]:
    if problems and egress.force is None:
        raise problems[0] if len(problems) == 1 else Problem(", and ".join(map(str, problems)))
    return tuple(
        f"RISK ACCEPTED: {problem.what}, got {problem.got}. Reason given: {egress.force}"
        for problem in problems
    )


def _lines(found: EgressState, egress: Egress, around: Surroundings) -> list[str]:
    install = [] if found.nft else ["install nftables from the node's own apt"]
    allowed = [item.to for item in egress.allow]
    connects = ", ".join(["every bridge", *around.interfaces])
    return [
        *install,
        f"load table {TABLE}: {connects} connects containers",
        f"stopped for them: {', '.join([*egress.block, *egress.deny]) or 'nothing'}",
        f"allowed all the same: {', '.join(allowed) or 'nothing'}",
        f"asked for names: {', '.join(around.resolvers) or 'any resolver outside'}",
        "Docker's own chains are left alone, and go on to be asked",
        *(f"{name} is left alone: it {why}" for name, why in outside(found, egress).items()),
        *(
            f"{name} is active and is left alone: what one of the two stops is stopped"
            for name in found.managers
        ),
        f"take it back unless this controller comes back anew within {egress.confirm_s} s",
    ]


def _surprises(found: EgressState, egress: Egress) -> Iterator[str]:
    """Tell of containers that stay outside, and of what else is cut off, before it is."""
    left_alone = outside(found, egress)
    for item in found.networks:
        if item.bridge in left_alone:
            why = f"its bridge {item.bridge} {left_alone[item.bridge]}"
            yield f"network {item.name} stays outside of the firewall: {why}"
    for name in foreign(found, egress):
        yield (
            f"bridge {name} is not Docker's, and what is behind it is filtered like containers: no "
            "DHCP from this node, no private networks. If that is wrong, write it into "
            "gvisor_egress['exclude']"
        )
        if literal(name) is None:
            yield f"nft cannot express the name {name}: containers reach what is behind this bridge"


def _removal(found: EgressState) -> PartPlan:
    if not found.there:
        return PartPlan()
    gone = [f"remove {path}" for path in (*found.files, DIRECTORY) if path != SERVICE]
    lines = (f"delete table {TABLE}", *gone, f"remove {SERVICE}")
    return PartPlan("remove", lines, texts={RULES: (found.rules, None)})
