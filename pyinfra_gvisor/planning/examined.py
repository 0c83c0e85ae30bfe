"""What ``pyinfra-gvisor doctor`` says about a node: one line a subject."""

from __future__ import annotations

from collections import Counter

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR
from pyinfra_gvisor.settings import Settings


def node_lines(node: Node) -> dict[str, str]:
    """Return what the node is, by subject: machine, Docker, gVisor, containers and disk."""
    system = f"{node.distribution} {node.distribution_version}".strip()
    found = {
        "machine": f"{system}, Linux {node.kernel}, {node.arch}, cgroup v{node.cgroup_version}",
        "Docker": _docker(node),
        "gVisor": _gvisor(node),
    }
    if node.info is not None:
        found["containers"] = _containers(node)
    if node.store.free_bytes is not None:
        found["disk"] = f"{node.store.free_bytes >> 20} MiB free for {RELEASES_DIR}"
    return found


def settings_line(settings: Settings) -> str:
    """Return what is declared for the node."""
    names = ", ".join(settings.runtimes)
    declared = f"runsc {settings.release} as {names}" if names else "no gVisor on this node"
    declared += _default(settings)
    return f"{declared}; Docker: {settings.docker}; restart: {settings.restart}"


def _default(settings: Settings) -> str:
    count = len(settings.infrastructure)
    entries = f"; {count} {'entry' if count == 1 else 'entries'} in gvisor_infrastructure"
    if settings.dispatch is None:
        return f"{entries}, unused" if count else ""
    return f", also by default ({settings.dispatch.runtime}){entries}"


def _docker(node: Node) -> str:
    if node.info is None:
        return node.docker_error or ("does not answer" if node.docker_client else "not installed")
    info = node.info
    more = [f"{info.cgroup_driver} cgroup driver", f"default runtime {info.default_runtime}"]
    more.append("live-restore on" if info.live_restore else "live-restore off")
    more += ["swarm active"] if info.swarm_active else []
    return f"{info.server_version}, {', '.join(more)}"


def _gvisor(node: Node) -> str:
    installed = f"installed: {', '.join(node.releases)}" if node.releases else "not installed"
    return f"{installed}; {len(node.damaged)} damaged" if node.damaged else installed


def _containers(node: Node) -> str:
    if not node.containers:
        return "none is running"
    counts: Counter[str] = Counter(container.verdict.state for container in node.containers)
    words = {
        "sandboxed": "in gVisor",
        "bare": "directly on the host kernel",
        "unknown": "not known",
    }
    parts = (f"{counts[state]} {text}" for state, text in words.items() if counts[state])
    return f"{len(node.containers)} running: {', '.join(parts)}"
