"""Plans in words: what will happen on a node and whom it touches."""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.reach import only_by_proxy, uses_nftables
from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.node import DAEMON_JSON, Node

NEIGHBOURS_SINCE = (29,)
"""Seen: dockerd 20.10, 26.1 and 28.5 drop what leads from one bridge to another, 29.7 does not."""


def plan_lines(plan: Plan, node: Node, *, wait_s: int) -> list[str]:
    """
    What the daemon.json transaction will do, a line for each thing to know.

    + wait_s: seconds that a restart would wait for ``--rm`` containers
    """
    lines = [f"{DAEMON_JSON}: {_what(plan)}, {plan.action.name.lower()}"]
    lines += [f"  {reason}" for reason in plan.reasons]
    lines += (
        [f"  changed by somebody else, and set back: {', '.join(plan.drifted)}"]
        if plan.drifted
        else []
    )
    lines += (
        [f"  changed by somebody else, and left to them: {', '.join(plan.left)}"]
        if plan.left
        else []
    )
    if plan.action is Force.RESTART:
        lines += [f"  {line}" for line in (*_restart(node, wait_s), *_ports(plan, node))]
    elif plan.action is Force.RELOAD:
        lines.append("  no container and no connection is touched by a reload")
    if plan.leaving:
        lines.append(f"  runtimes that leave, no container uses them: {', '.join(plan.leaving)}")
    if old := [item.name for item in node.containers if item.sandboxed and item.release is None]:
        lines.append(f"  sandboxes of an older set-up, kept running as they are: {', '.join(old)}")
    return lines


def owed_lines(plan: Plan) -> list[str]:
    """Return what takes effect when dockerd is restarted next, a line for each key."""
    lines = [f"{path}: not as dockerd was started, a restart is owed" for path in plan.owed]
    if plan.owed and plan.lost:
        ports = ", ".join(map(str, plan.lost))
        lines.append(f"clients lose these published ports with that restart: {ports}")
    return lines


def _ports(plan: Plan, node: Node) -> list[str]:
    if plan.lost is not None:
        ports = ", ".join(map(str, plan.lost))
        lost = f"when docker-proxy ends, clients lose these published ports: {ports}"
        return [*([lost] if ports else []), *_neighbours(node), *_twice(node)]
    if served := only_by_proxy(node):
        ports = ", ".join(map(str, served))
        return [f"refused for some tenths of a second, until docker-proxy runs again: {ports}"]
    return []


def _neighbours(node: Node) -> list[str]:
    """What containers lose with docker-proxy, which is a client on the node itself."""
    version = dockerd_version(node)
    if not node.reach.proxied or (version is not None and version >= NEIGHBOURS_SINCE):
        return []
    where = (
        "containers will reach published ports by the node's own address only on their own network"
    )
    return [f'{where}; let them use names, or keep docker-proxy with {{"userland-proxy": None}}']


def _twice(node: Node) -> list[str]:
    if not uses_nftables(node):
        return []
    line = "without docker-proxy, Docker's nftables starts no container that publishes a port twice"
    return [f'{line}; to keep it, set gvisor_daemon_json = {{"userland-proxy": None}}']


def spared_line(plan: Plan) -> str:
    """Return why dockerd's userland-proxy stays on, and how to switch it off."""
    ports = ", ".join(map(str, plan.spared))
    return (
        f"userland-proxy stays on: without docker-proxy clients lose {ports}. To switch it off all "
        'the same, set gvisor_daemon_json = {"userland-proxy": False}'
    )


def kept_lines(plan: Plan) -> list[str]:
    """Return which runtimes stay although nobody declares them, and for which containers."""
    return [
        f"{DAEMON_JSON}: runtime {name} is not declared. It stays with its wrapper and release "
        f"until no container needs it, then a later run removes it. These need it: "
        f"{', '.join(containers)}"
        for name, containers in plan.kept.items()
    ]


def interrupted_line(node: Node) -> str:
    """How an earlier change ended, which no controller was told of."""
    run = node.state.get("last-run")
    told = run if isinstance(run, dict) else {}
    because = f", because {told['reason']}" if told.get("reason") else ""
    return f"{DAEMON_JSON}: the earlier change is {told.get('result', 'ended')}{because}"


def noted(node: Node) -> str:
    """Return what the last change wants to be known although it ended well, empty for nothing."""
    run = node.state.get("last-run")
    return str(run.get("notes") or "") if isinstance(run, dict) else ""


def _what(plan: Plan) -> str:
    if plan.before == plan.after:
        return "unchanged"
    if plan.before is None:
        return "new"
    return "removed" if plan.after is None else "changed"


def _restart(node: Node, wait_s: int) -> list[str]:
    running = [item.name for item in node.containers if not item.auto_remove]
    ended = [item.name for item in node.containers if item.auto_remove]
    lines = [
        "the Docker API is away for some seconds, live-restore keeps containers running",
        "docker exec, attach, logs -f and builds that are going on will end",
    ]
    if uses_nftables(node):
        lines.append(
            "where ports are published, a new connection may take a second longer: while dockerd "
            "starts, its nftables drops what it has no rule for"
        )
    lines += [f"kept running: {', '.join(running)}"] if running else []
    lines += (
        [f"waited for, up to {wait_s} s, since a restart ends --rm containers: {', '.join(ended)}"]
        if ended
        else []
    )
    return lines
