"""Undoing what this package did: what may go, what somebody still needs, and why not."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pyinfra_gvisor.daemon_json.merge import GVISOR, Owned, OwnedPath
from pyinfra_gvisor.daemon_json.plan import current_text
from pyinfra_gvisor.daemon_json.text import EMPTY, JsonText, Path, from_pointer
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Reading
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.node.containers import Container
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, release_of

LINK = "/usr/local/bin/runsc"


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
    def going(self) -> tuple[str, ...]:
        """Everything that goes, to be told."""
        link, state = [LINK] if self.link else [], [STATE_DIR] if self.state else []
        return (*self.paths, *link, *state)

    @property
    def changes(self) -> bool:
        """Whether anything is there to remove."""
        return bool(self.going)


def parse_runtime_users(output: Sequence[str]) -> tuple[RuntimeUser, ...]:
    """
    The containers that ``scripts/runtime_users.sh`` printed.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if "end of containers" not in output:
        raise ValueError(f"the node's answer breaks off: {' '.join(output[-1:])[:60]}")
    try:
        users = [json.loads(line) for line in output[: output.index("end of containers")]]
        return tuple(
            RuntimeUser(name=name.removeprefix("/"), running=running, runtime=runtime)
            for name, running, runtime in users
        )
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"the node's answer is malformed: {error}") from error


def refuse_removal(node: Node, users: Sequence[RuntimeUser], *, keep_running: bool) -> None:
    """
    Raise ``Problem`` if a running container runs from what would go.

    + keep_running: they are to be left running on what they were started with
    """
    running = _running_on_ours(node, users)
    if running and not keep_running:
        raise Problem(
            "containers still run on a release that would go",
            got=", ".join(running),
            todo="move them to another runtime, or leave them running as they are with "
            "--data gvisor_keep_running=True",
        )


def stranded(
    node: Node, users: Sequence[RuntimeUser], *, staying: Collection[str] = ()
) -> list[str]:
    """
    The containers that, once stopped, will not start any more without being created anew.

    + staying: runtimes of ours that do not go
    """
    going = _going_runtimes(node).difference(staying)
    return [user.name for user in users if user.runtime in going]


def _running_on_ours(node: Node, users: Sequence[RuntimeUser]) -> list[str]:
    seen = {item.name: item for item in node.containers}
    going = _going_runtimes(node)
    return [
        user.name
        for user in users
        if user.running and _is_on_ours(user, seen.get(user.name), going)
    ]


def _is_on_ours(user: RuntimeUser, seen: Container | None, going: Collection[str]) -> bool:
    """As /proc shows it: a runtime of another set-up may have the same name as one of ours."""
    if seen is None or not seen.process.executable:  # dockerd is about to start it again
        return user.runtime in going
    return seen.release is not None


def _going_runtimes(node: Node) -> set[str]:
    """The runtimes that nobody will have registered any more."""
    return {
        path[1]
        for path, mine in _only_ours(node).items()
        if path[0] == "runtimes" and len(path) > 1 and mine.before is None
    }


def _only_ours(node: Node) -> dict[Path, OwnedPath]:
    paths = Owned.load(node.state).paths
    return {from_pointer(name): mine for name, mine in paths.items() if mine.owners == (GVISOR,)}


def _staying_releases(node: Node) -> set[str]:
    """The releases that an entry of daemon.json points at which does not go with us."""
    ours = _only_ours(node)
    entries = JsonText(current_text(node) or EMPTY).value.get("runtimes")
    found = (
        release_of(str(entry.get("path")))
        for name, entry in (entries.items() if isinstance(entries, dict) else ())
        if isinstance(entry, dict)
        if (mine := ours.get(("runtimes", name))) is None or not mine.has_written(entry)
    )
    return {release for release in found if release}


def plan_removal(node: Node) -> Removal:
    """
    What of ours is on the node and may go: everything but what is still in use.

    Raises ``Problem`` if daemon.json, which may still point at something, cannot be understood.
    """
    used = {item.release for item in node.containers if item.release} | _staying_releases(node)
    there = (*node.releases, *node.damaged)
    releases = [release for release in there if release not in used]
    wrappers = [path for path in node.wrappers if release_of(path) not in used]
    others = [
        owner
        for mine in Owned.load(node.state).paths.values()
        for owner in mine.owners
        if owner != GVISOR
    ]
    kept = [f"{RELEASES_DIR}/{release}" for release in there if release in used]
    return Removal(
        paths=(*wrappers, *(f"{RELEASES_DIR}/{release}" for release in releases)),
        link=bool(node.runsc_link and node.runsc_link.startswith(RELEASES_DIR + "/")),
        state=node.state_dir and not others,
        kept=(*kept, *([STATE_DIR] if others else [])),
    )
