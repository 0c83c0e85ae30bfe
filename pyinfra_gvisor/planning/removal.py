"""Removal of this package from a node: what is removed, and what stays because it is in use."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import JsonText
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.removed_runtimes import registered
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, RUNTIMES_DIR, release_of

LINK = "/usr/local/bin/runsc"


@dataclass(frozen=True)
class Removal:
    """
    What is removed, and what stays.

    ``paths`` are removed, ``kept`` stay. ``link``: remove /usr/local/bin/runsc, which is ours.
    ``state``: remove our records, because we own no key of daemon.json any more.
    """

    paths: tuple[str, ...]
    link: bool
    state: bool
    kept: tuple[str, ...]

    @property
    def going(self) -> tuple[str, ...]:
        """Return every path that is removed."""
        link, state = [LINK] if self.link else [], [STATE_DIR] if self.state else []
        return (*self.paths, *link, *state)

    @property
    def changes(self) -> bool:
        """Return True if there is anything to remove."""
        return bool(self.going)


def refuse_removal(node: Node) -> None:
    """
    Raise ``Problem`` if a running container uses a release of ours.

    /proc decides, not the runtime's name: a runtime of other software may have the same name.
    """
    running = [container.name for container in node.containers if container.release]
    if running:
        raise Problem(
            f"running containers use a release that would be removed: {', '.join(running)}",
            todo="move these containers to another runtime, or keep them running as they are with "
            "--data gvisor_keep_running=True",
        )


def plan_removal(node: Node, plan: Plan) -> Removal:
    """
    Return what to remove: everything of ours on the node that nothing uses.

    + plan: the planned daemon.json; releases and wrappers that it still names stay
    """
    entries = registered({} if plan.after is None else JsonText(plan.after).value)
    paths = [str(entry.get("path")) for entry in entries.values() if isinstance(entry, dict)]
    used = {item.release for item in node.containers if item.release}
    used |= {release for path in paths if (release := release_of(path))}
    used |= {release for part in node.parts.values() if (release := release_of(part.wrapper))}
    there = (*node.releases, *node.damaged)
    releases = [release for release in there if release not in used]
    wrappers = [path for path in node.wrappers if release_of(path) not in used]
    if DEFAULT_RUNTIME in entries:  # containers under runc remember it, too, of any release
        wrappers = [path for path in wrappers if not _is_default_runtime(path)]
    kept = [f"{RELEASES_DIR}/{release}" for release in there if release in used]
    still_ours = bool(plan.owned.paths)
    return Removal(
        paths=(*wrappers, *(f"{RELEASES_DIR}/{release}" for release in releases)),
        link=bool(node.runsc_link and node.runsc_link.startswith(RELEASES_DIR + "/")),
        state=node.state_dir and not still_ours,
        kept=(*kept, *([STATE_DIR] if still_ours else [])),
    )


def _is_default_runtime(path: str) -> bool:
    return path.startswith(f"{RUNTIMES_DIR}/{DEFAULT_RUNTIME}-")
