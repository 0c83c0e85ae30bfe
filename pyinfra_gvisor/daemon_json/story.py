"""Plans in words: what will happen on a node and whom it touches."""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import DAEMON_JSON, Node


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
        lines += [f"  {line}" for line in _restart(node, wait_s)]
    elif plan.action is Force.RELOAD:
        lines.append("  no container and no connection is touched by a reload")
    if old := [item.name for item in node.containers if item.sandboxed and item.release is None]:
        lines.append(f"  sandboxes of an older set-up, kept running as they are: {', '.join(old)}")
    return lines


def interrupted_line(node: Node) -> str:
    """How an earlier change ended, which no controller was told of."""
    run = node.state.get("last-run")
    told = run if isinstance(run, dict) else {}
    because = f", because {told['reason']}" if told.get("reason") else ""
    return f"{DAEMON_JSON}: the earlier change is {told.get('result', 'ended')}{because}"


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
    lines += [f"kept running: {', '.join(running)}"] if running else []
    lines += (
        [f"waited for, up to {wait_s} s, since a restart ends --rm containers: {', '.join(ended)}"]
        if ended
        else []
    )
    return lines
