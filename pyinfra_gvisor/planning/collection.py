"""Old releases and their wrappers: which are removed, and which containers still run on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.releases import Release, parse_release
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, RUNTIMES_DIR, release_of

END = "end of release users"
_WRAPPER = re.compile(re.escape(RUNTIMES_DIR) + r"/[A-Za-z0-9._-]+")
_RELEASE = re.compile(re.escape(RELEASES_DIR) + r"/([^/\s]+)")


@dataclass(frozen=True)
class Collection:
    """The paths to remove, wrappers before their release, and the releases that stay."""

    going: tuple[str, ...]
    kept: tuple[str, ...]


def on_other_releases(node: Node, version: str) -> dict[str, tuple[str, ...]]:
    """Return the running containers on other releases than ``version``, by release."""
    found: dict[str, list[str]] = {}
    for container in node.containers:
        if container.release and container.release != version:
            found.setdefault(container.release, []).append(container.name)
    return {name: tuple(found[name]) for name in sorted(found, key=_age)}


def old_releases(node: Node, version: str, keep: int) -> tuple[str, ...]:
    """
    Return the releases, without the newest ``keep``, that no running container or runtime needs.

    + keep: how many releases stay, including ``version``, used or not

    Something else may still need them, such as a generation: see ``parse_release_users``.
    """
    others = sorted({*node.releases, *node.damaged} - {version}, key=_age, reverse=True)
    runtimes = {} if node.info is None else node.info.runtimes
    used = {item.release for item in node.containers}
    used |= {release_of(entry.path or "") for entry in runtimes.values()}
    used |= {release_of(path) for path in _WRAPPER.findall(node.daemon_json.text or "")}
    return tuple(name for name in others[max(keep - 1, 0) :] if name not in used)


def parse_release_users(output: Sequence[str]) -> frozenset[str]:
    """
    Return the releases that a process, a shim or a file needs, as ``releases/users.sh`` saw.

    Raises ``ValueError`` if the answer is incomplete.
    """
    if END not in output:
        raise ValueError(f"the node's answer is incomplete: it ends after {len(output)} lines")
    found = {release_of(line) for line in output}
    found |= {match[1] for line in output if (match := _RELEASE.match(line))}
    return frozenset(name for name in found if name)


def plan_collection(node: Node, old: Sequence[str], users: frozenset[str]) -> Collection:
    """
    Return what to remove: unused releases of ``old``, their wrappers, and wrappers without release.

    + users: the releases that something on the node still needs
    """
    going = [name for name in old if name not in users]
    there = {*node.releases, *node.damaged}
    wrappers = [
        path
        for path in node.wrappers
        if (name := release_of(path)) in going or (name and name not in there | users)
    ]
    return Collection(
        going=(*wrappers, *(f"{RELEASES_DIR}/{name}" for name in going)),
        kept=tuple(name for name in old if name in users),
    )


def _age(name: str) -> Release:
    """Return a release to sort by; a name of another form is older than all releases."""
    try:
        return parse_release(name)
    except Problem:
        return Release(0, 0)
