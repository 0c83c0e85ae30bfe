"""Undoing what this package did: what may go, what somebody still needs, and why not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.merge import GVISOR, Owned
from pyinfra_gvisor.node import RELEASES_DIR, STATE_DIR, Node, Reading
from pyinfra_gvisor.runtimes import release_of


class RuntimeUser(Reading):
    """A container, running or not, and the runtime that it asks for."""

    name: str
    running: bool
    runtime: str


@dataclass(frozen=True)
class Removal:
    """
    What goes, and what stays.

    ``link``: /usr/local/bin/runsc is ours. ``state``: nobody else owns a key of daemon.json, so
    that our records are of no use any more.
    """

    paths: tuple[str, ...]
    link: bool
    state: bool
    kept: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether anything is there to remove."""
        return bool(self.paths) or self.link or self.state


def parse_users(output: Sequence[str]) -> tuple[RuntimeUser, ...]:
    """
    The containers that ``scripts/runtime_users.sh`` printed.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if "end of containers" not in output:
        raise ValueError(f"the node's answer breaks off: {' '.join(output[-1:])[:60]}")
    users = [json.loads(line) for line in output[: output.index("end of containers")]]
    return tuple(
        RuntimeUser(name=name.removeprefix("/"), running=running, runtime=runtime)
        for name, running, runtime in users
    )


def our_runtimes(node: Node) -> set[str]:
    """The names of the runtimes that are ours in daemon.json, and nobody else's."""
    owned = Owned.load(node.state)
    return {path[1] for path in owned.of(GVISOR) if path[0] == "runtimes" and len(path) > 1}


def refuse_removal(node: Node, users: Sequence[RuntimeUser], *, keep_running: bool) -> None:
    """
    Raise ``Problem`` if a running container needs a runtime that would go.

    + keep_running: they are to be left running on the wrapper that they started with
    """
    names = our_runtimes(node)
    running = [user.name for user in users if user.running and user.runtime in names]
    if running and not keep_running:
        raise Problem(
            "containers still run under a runtime that would go",
            got=", ".join(running),
            todo="move them to another runtime, or leave them running as they are with "
            "--data gvisor_keep_running=True (they can be stopped then, and not started again)",
        )


def stranded(node: Node, users: Sequence[RuntimeUser]) -> list[str]:
    """The containers that will not start any more without being created anew."""
    names = our_runtimes(node)
    return [user.name for user in users if user.runtime in names]


def plan_removal(node: Node) -> Removal:
    """What of ours is on the node and may go: everything but what a running sandbox runs from."""
    used = {item.release for item in node.containers if item.release}
    releases = [release for release in node.releases if release not in used]
    wrappers = [path for path in node.wrappers if release_of(path) not in used]
    others = [
        owner
        for mine in Owned.load(node.state).paths.values()
        for owner in mine.owners
        if owner != GVISOR
    ]
    kept = [f"{RELEASES_DIR}/{release}" for release in node.releases if release in used]
    return Removal(
        paths=(*wrappers, *(f"{RELEASES_DIR}/{release}" for release in releases)),
        link=bool(node.runsc_link and node.runsc_link.startswith(RELEASES_DIR + "/")),
        state=node.state_dir and not others,
        kept=(*kept, *([STATE_DIR] if others else [])),
    )
