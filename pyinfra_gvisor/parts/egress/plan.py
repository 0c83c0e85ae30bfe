"""Plan what has to change so that a node's firewall is as declared, or removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.parts.egress.dockerd import NOT_TOLD_APART, Dockerd
from pyinfra_gvisor.parts.egress.files import (
    DIRECTORY,
    FOLLOWER_NAME,
    NAME,
    RULES,
    SERVICE,
    kept_files,
)
from pyinfra_gvisor.parts.egress.host_network import (
    Surroundings,
    foreign,
    literal,
    outside,
    surroundings,
)
from pyinfra_gvisor.parts.egress.lockout import lockouts
from pyinfra_gvisor.parts.egress.rules import TABLE, blocks, rules_text
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts_common.plan import PartPlan


def wanted_files(found: EgressState, egress: Egress, dockerd: Dockerd) -> tuple[NodeFile, ...]:
    """Return the declared firewall of this node; the rules come first."""
    return kept_files(rules_text(egress, surroundings(found, egress, dockerd)), dockerd)


def differences(found: EgressState, wanted: Iterable[NodeFile]) -> list[str]:
    """Return how a node's firewall differs from the declared one, one phrase each."""
    other = [item.path for item in wanted if not item.matches(found.files.get(item.path))]
    return [*(f"{path} is not as declared" for path in other), *out_of_force(found)]


def out_of_force(found: EgressState) -> list[str]:
    """Return the reasons why a node's rules file is not active now, or not after its next boot."""
    loaded = found.now is not None
    said = {
        "new rules are not confirmed yet": found.pending,
        f"the kernel has no table {TABLE}": not loaded,
        f"table {TABLE} was changed after it was loaded": loaded and not found.in_force,
        f"the loaded rules are not those of {RULES}": found.in_force and found.is_other_file,
        f"{NAME}.service is not enabled": not found.enabled,
        f"{NAME}.service is {found.unit}": found.unit not in (None, "active"),
        f"{FOLLOWER_NAME}.service is {found.follower}": found.follower not in (None, "active"),
        f"what Docker itself sends is not filtered: {', '.join(found.unfiltered)}": bool(
            found.unfiltered
        ),
    }
    return [text for text, is_so in said.items() if is_so]


def plan_egress(
    found: EgressState,
    egress: Egress | None,
    *,
    init: str,
    dockerd: Dockerd,
) -> PartPlan:
    """
    Return the changes after which the firewall is as declared, or removed.

    + egress: the declared firewall; None removes it
    + init: the name of the node's first process
    + dockerd: what the rules depend on of it

    The plan's ``warnings`` name refusals that ``force`` overrules, networks that are not filtered,
    and bridges that Docker did not create but that are filtered.

    Raises ``Problem`` if the rules would cut what they must not, or the node lacks systemd.
    """
    if egress is None:
        return _removal(found)
    if init != "systemd":
        todo = "remove gvisor_egress for this node, and use another firewall there"
        raise Problem("the egress firewall needs systemd on the node", got=init, todo=todo)
    around = surroundings(found, egress, dockerd)
    risks = _risks(lockouts(found, egress, around), egress)
    wanted = wanted_files(found, egress, dockerd)
    different = differences(found, wanted)
    if not different:
        return PartPlan()
    return PartPlan(
        "apply",
        (*(different if found.files else ()), *_lines(found, egress, around)),
        (*risks, *_surprises(found, egress)),
        wanted,
        texts={RULES: (found.rules, wanted[0].text)},
    )


def _risks(problems: list[Problem], egress: Egress) -> tuple[str, ...]:
    if egress.only_reports:
        return tuple(f"with mode enforce this would be refused: {item}" for item in problems)
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
    blocked = "only reported, not blocked" if egress.only_reports else "blocked"
    return [
        *install,
        f"load table {TABLE} for container interfaces: {connects}",
        f"{blocked}: {', '.join([*egress.block, *egress.deny]) or 'nothing'}",
        f"allowed exceptions: {', '.join(allowed) or 'none'}",
        *(
            f"allowed for networks with {app.selector}: {', '.join(to.to for to in app.allow)}"
            for app in egress.apps
        ),
        f"allowed resolvers: {', '.join(around.resolvers) or 'any on the open internet'}",
        _docker_itself(egress, around.dockerd),
        "connections that are open stay open until they end",
        "Docker's own firewall chains are not changed and stay active",
        *(f"{name} is not filtered: it {why}" for name, why in outside(found, egress).items()),
        *(
            f"{name} is active and not changed: traffic that either firewall blocks stays blocked"
            for name in found.managers
        ),
        f"roll back unless a new SSH connection succeeds within {egress.confirm_s} s",
    ]


def _docker_itself(egress: Egress, dockerd: Dockerd) -> str:
    if not egress.docker:
        return "what Docker itself sends is not filtered"
    if not dockerd.is_told_apart:
        return f"what Docker itself sends is not filtered: {NOT_TOLD_APART}"
    allowed = ", ".join(item.to for item in (*egress.docker_allow, *dockerd.peers))
    return f"the same rules hold for Docker itself, which may also reach: {allowed or 'nothing'}"


def _surprises(found: EgressState, egress: Egress) -> Iterator[str]:
    """Yield warnings: containers that are not filtered, and other machines that will be."""
    if egress.only_reports and found.rules and blocks(found.rules):
        yield "the new rules only report: containers can reach what the present rules block"
    left_alone = outside(found, egress)
    for item in found.networks:
        if item.bridge in left_alone:
            why = f"its bridge {item.bridge} {left_alone[item.bridge]}"
            yield f"containers of the Docker network {item.name} are not filtered: {why}"
    for name in foreign(found, egress):
        yield (
            f"Docker did not create bridge {name}; machines on it are filtered like containers: no "
            "DHCP from this node, no private networks. If that is wrong, add the bridge to "
            "gvisor_egress['exclude']"
        )
        if literal(name) is None:
            yield f"containers can reach machines on bridge {name}: nft cannot express its name"


def _removal(found: EgressState) -> PartPlan:
    if not found.there:
        return PartPlan()
    gone = [f"remove {path}" for path in (*found.files, DIRECTORY) if path != SERVICE]
    lines = (f"delete table {TABLE}", *gone, f"remove {SERVICE}")
    return PartPlan("remove", lines, texts={RULES: (found.rules, None)})
