"""Undoing what this package did: what may go, what somebody still needs, and why not."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra_gvisor.daemon_json.leaving import registered
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.text import JsonText
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, release_of

LINK = "/usr/local/bin/runsc"


@dataclass(frozen=True)
class Removal:
    """
    What goes, and what stays.

    ``link``: /usr/local/bin/runsc is ours. ``state``: no key of daemon.json is owned any more, so
    that our records are of no use.
    """

    paths: tuple[str, ...]
    link: bool
    state: bool
    kept: tuple[str, ...]

    @property
    def going(self) -> tuple[str, ...]:
        """Everything that goes, to be told."""
        link, state = [LINK] if self.link else [], [STATE_DIR] if self.state else []
        return (*self.paths, *link, *state)

    @property
    def changes(self) -> bool:
        """Whether anything is there to remove."""
        return bool(self.going)


def refuse_removal(node: Node) -> None:
    """
    Raise ``Problem`` if a running container runs from a release of ours.

    As /proc shows it: a runtime of another set-up may have the same name as one of ours.
    """
    running = [container.name for container in node.containers if container.release]
    if running:
        raise Problem(
            f"containers still run on a release that would go: {', '.join(running)}",
            todo="move them to another runtime, or leave them running as they are with "
            "--data gvisor_keep_running=True",
        )


def plan_removal(node: Node, plan: Plan) -> Removal:
    """
    What of ours is on the node and may go: everything but what is still in use.

    + plan: what becomes of daemon.json; what it still points at stays
    """
    entries = registered({} if plan.after is None else JsonText(plan.after).value)
    paths = [str(entry.get("path")) for entry in entries.values() if isinstance(entry, dict)]
    used = {item.release for item in node.containers if item.release}
    used |= {release for path in paths if (release := release_of(path))}
    there = (*node.releases, *node.damaged)
    releases = [release for release in there if release not in used]
    wrappers = [path for path in node.wrappers if release_of(path) not in used]
    kept = [f"{RELEASES_DIR}/{release}" for release in there if release in used]
    still_ours = bool(plan.owned.paths)
    return Removal(
        paths=(*wrappers, *(f"{RELEASES_DIR}/{release}" for release in releases)),
        link=bool(node.runsc_link and node.runsc_link.startswith(RELEASES_DIR + "/")),
        state=node.state_dir and not still_ours,
        kept=(*kept, *([STATE_DIR] if still_ours else [])),
    )
