"""Render a plan as text: what changes on the node and which containers it affects."""

from __future__ import annotations

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.base.json_text import JsonText
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.reach import (
    drops_between_bridges,
    needs_proxy,
    only_by_proxy,
    uses_nftables,
)
from pyinfra_gvisor.daemon_json.reload import lost_at_reload
from pyinfra_gvisor.node import DAEMON_JSON, Node

_SECONDS = len("2026-11-29T15:40:43")
_LATE = "start no deployment now: a new --rm container may end"


_ACTIONS = {
    Force.NOTHING: "no reload or restart",
    Force.RELOAD: "reload",
    Force.RESTART: "restart",
}


def plan_lines(plan: Plan, node: Node, *, wait_s: int) -> list[str]:
    """
    Return what the daemon.json transaction will do, a line for each fact.

    + wait_s: seconds that a restart would wait for ``--rm`` containers
    """
    first, *others = touched_lines(plan, node, wait_s=wait_s)
    details = [*plan.reasons]
    if plan.action is Force.RESTART:
        details += _unreachable(node)
    elif plan.action is Force.RELOAD:
        details.append("a reload affects no running container and no connection")
    return [first, *(f"  {line}" for line in details), *others]


def touched_lines(plan: Plan, node: Node, *, wait_s: int) -> list[str]:
    """
    Return the most important of ``plan_lines``: what is restarted, and whom that affects.

    + wait_s: seconds that a restart would wait for ``--rm`` containers
    """
    lines = []
    if plan.drifted:
        lines.append(f"changed by somebody else, set as declared again: {', '.join(plan.drifted)}")
    if plan.left:
        lines.append(f"changed by somebody else, left as they are: {', '.join(plan.left)}")
    if plan.action is Force.RESTART:
        lines += [*_running(node, wait_s), *_units(node), *_ports(plan, node)]
    elif plan.action is Force.RELOAD:
        lines += _forgotten(node)
    lines += _default_runtime(plan)
    if plan.leaving:
        lines.append(f"runtimes removed, no container uses them: {', '.join(plan.leaving)}")
    if old := [item.name for item in node.containers if item.sandboxed and item.release is None]:
        lines.append(f"sandboxes that this package did not set up keep running: {', '.join(old)}")
    first = f"{DAEMON_JSON}: {_what(plan)}, {_ACTIONS[plan.action]}"
    return [first, *(f"  {line}" for line in lines)]


def unapplied_lines(plan: Plan) -> list[str]:
    """Return the paths that take effect when dockerd is restarted, a line for each path."""
    lines = [
        f"{path}: changed since dockerd started, restart dockerd to apply"
        for path in plan.unapplied
    ]
    if plan.unapplied and plan.lost:
        ports = ", ".join(map(str, plan.lost))
        lines.append(f"clients lose these published ports with that restart: {ports}")
    return lines


def _forgotten(node: Node) -> list[str]:
    """Return what dockerd forgets at a reload, until it is restarted."""
    what = lost_at_reload(node)
    who = "containers with --add-host …:host-gateway, such as Coolify's proxy"
    return [f"{what}: {who}, start again only after dockerd is restarted"] if what else []


def _default_runtime(plan: Plan) -> list[str]:
    old, new = (
        str((JsonText(text).value if text else {}).get("default-runtime") or "runc")
        for text in (plan.before, plan.after)
    )
    if old == new:
        return []
    return [f"new containers that ask for no runtime get {cut(new)}, no longer {cut(old)}"]


def _ports(plan: Plan, node: Node) -> list[str]:
    if plan.lost is not None:
        ports = ", ".join(map(str, plan.lost))
        lost = f"clients lose these published ports when docker-proxy ends: {ports}"
        return [*([lost] if ports else []), *_neighbours(node), *_twice(node)]
    from_containers = [item for item in needs_proxy(node) if item.containers]
    if served := [*only_by_proxy(node), *from_containers]:
        if {*map(str, served)} == {*map(str, plan.spared)}:
            return ["these ports refuse connections for less than a second"]
        ports = ", ".join(map(str, served))
        return [f"published ports that refuse connections for less than a second: {ports}"]
    return []


def _neighbours(node: Node) -> list[str]:
    """Return what containers lose with docker-proxy, which connects them over the node itself."""
    if not node.reach.proxied or not drops_between_bridges(node):
        return []
    where = (
        "containers will reach published ports by the node's own address only if both containers "
        "share a network"
    )
    return [f'{where}; use names, or keep docker-proxy with {{"userland-proxy": None}}']


def _twice(node: Node) -> list[str]:
    if not uses_nftables(node):
        return []
    line = (
        "without docker-proxy, Docker with nftables cannot start a container that publishes a port "
        "twice"
    )
    keep = 'to keep docker-proxy, set gvisor_daemon_json = {"userland-proxy": None}'
    return [f"{line}; {keep}"]


def spared_line(plan: Plan, *, whole: bool) -> str:
    """
    Return why dockerd's userland-proxy stays on.

    + whole: also say how to switch it off anyway
    """
    ports = ", ".join(map(str, plan.spared))
    said = f"userland-proxy stays on, because without docker-proxy clients lose {ports}"
    how = 'To switch userland-proxy off anyway, set gvisor_daemon_json = {"userland-proxy": False}'
    return f"{said}. {how}" if whole else said


def kept_lines(plan: Plan) -> list[str]:
    """Return which runtimes stay although they are not declared, and for which containers."""
    return [
        f"{DAEMON_JSON}: runtime {name} is not declared, but these containers need it: "
        f"{', '.join(containers)}. The runtime, its wrapper and its release stay. A later run "
        "removes them when no container needs them"
        for name, containers in plan.kept.items()
    ]


def interrupted_line(node: Node) -> str:
    """Return the result of an earlier change that was interrupted."""
    run = node.state.get("last-run")
    told = run if isinstance(run, dict) else {}
    because = f", because {told['reason']}" if told.get("reason") else ""
    return f"{DAEMON_JSON}: the earlier change is {told.get('result', 'ended')}{because}"


def unheard_line(node: Node) -> str:
    """Return the result of a change whose run lost the host meanwhile; empty if a run knows it."""
    run, proof = (node.state.get(name) for name in ("last-run", "proof"))
    at = str(run.get("at", ""))[:_SECONDS] if isinstance(run, dict) else ""
    proven = str(proof.get("at", ""))[:_SECONDS] if isinstance(proof, dict) else ""
    if not isinstance(run, dict) or not node.unheard or proven > at:  # a later run has looked
        return ""
    because = f", because {run['reason']}" if run.get("reason") else ""
    return (
        f"an earlier run lost this host during a change of {DAEMON_JSON}; the node ended it by "
        f"itself at {cut(at)} UTC: {cut(run.get('result', 'unknown'))}{because}"
    )


def noted(node: Node) -> str:
    """Return the notes of the last change, which succeeded; empty without notes."""
    run = node.state.get("last-run")
    return str(run.get("notes") or "") if isinstance(run, dict) else ""


def _what(plan: Plan) -> str:
    if plan.before == plan.after:
        return "unchanged"
    if plan.before is None:
        return "new"
    return "removed" if plan.after is None else "changed"


def _unreachable(node: Node) -> list[str]:
    """Return what does not work while dockerd restarts."""
    lines = [
        "the Docker API does not answer for some seconds, live-restore keeps containers running",
        "running docker exec, attach, logs -f and builds will end",
    ]
    if uses_nftables(node):
        lines.append(
            "new connections to published ports may take a second longer: while dockerd starts, "
            "its nftables rules drop such packets"
        )
    return lines


def _running(node: Node, wait_s: int) -> list[str]:
    """Return which containers keep running, and for which the restart waits."""
    staying = [item for item in node.containers if not node.units.names(item)]
    running = [item.name for item in staying if not item.auto_remove]
    ended = [item.name for item in staying if item.auto_remove]
    lines = [f"containers that keep running: {some(running)}"] * bool(running)
    if ended:
        lines.append(
            f"--rm containers, which the restart waits for up to {wait_s} s: {', '.join(ended)}"
        )
    return [*lines, _LATE]


def _units(node: Node) -> list[str]:
    """Return which units end with the restart, and which of those that depend on dockerd do not."""
    lines = []
    if attached := node.units.attached:
        ended = [
            f"{unit} ({', '.join(names)})" if names else unit for unit, names in attached.items()
        ]
        lines.append(f"units that end, perhaps with their containers: {', '.join(ended)}")
    if nameless := node.units.nameless:
        lines.append(
            "these units name no container. If a container ends with one of them, the change is "
            f"rolled back: {', '.join(nameless)}"
        )
    if alone := node.units.left_alone:
        lines.append(f"units that depend on dockerd, and are not restarted: {', '.join(alone)}")
    return lines
