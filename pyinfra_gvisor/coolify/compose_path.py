"""
The way to the service's volumes in a compose file, and what docker compose finds at its end.

Our lines can go there only if every step of the way is written out: beneath an anchor they would
be somebody else's too, beneath a tag of compose's they would mean something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from posixpath import normpath

from pyinfra_gvisor.coolify.yaml_nodes import BREAKS, MERGE, Node, lookup
from pyinfra_gvisor.errors import Problem

PATH = ("services", "coolify", "volumes")

_AFTER_KEY = re.compile(rf" *: *(?:#[^{BREAKS}]*)?(?:[{BREAKS}]|\Z)")
_VARIABLE = re.compile(r"\$\{[^{}]*\}")


def chain_of(root: Node | None) -> list[tuple[Node, Node]]:
    """The keys of the path with their values, as far as they are written one inside the other."""
    found: list[tuple[Node, Node]] = []
    node = root
    for name in PATH:
        pair = next((pair for pair in node.pairs if pair[0].text == name), None) if node else None
        if pair is None:
            break
        found.append(pair)
        node = pair[1]
    return found


def mounted_by(root: Node | None) -> list[Node]:
    """What docker compose takes for the service's volumes in this file, aliases resolved."""
    node = root
    for name in PATH:
        node = lookup(node, name)
    if node is None or not node.is_list or node.tag not in (None, "!override"):
        return []
    return [item.resolved() for item in node.children]


def in_the_way(item: Node, targets: Mapping[str, str]) -> str:
    """Why our mounts do not hold beside this one; nothing if they do."""
    if item.tag:
        return "a mount with a tag"  # one !reset makes compose 2.26 drop the whole list
    same = item.text not in targets and target_of(item) in targets.values()
    return "another mount at the target of ours" if same else ""


def is_over(item: Node) -> Callable[[str], bool]:
    """
    Whether a path is inside of what the item mounts. Docker makes a mount point in there, on the
    host; where it cannot, as in a read-only mount, the container does not start.
    """
    target = target_of(item)
    return lambda path: bool(target) and path.startswith(target.rstrip("/") + "/")


def target_of(item: Node) -> str:
    """Where a volume is mounted: the second part in short syntax, ``target`` in long syntax."""
    text = item.text
    if text is None:
        found = lookup(item, "target")
        return normpath(found.text) if found and found.text else ""
    while (plain := _VARIABLE.sub("x", text)) != text:
        text = plain
    parts = text.split(":")
    return normpath(parts[1] if len(parts) > 1 else parts[0])


def refuse_path(root: Node | None, chain: Sequence[tuple[Node, Node]], text: str) -> None:
    """
    Refuse a way on which no line can be added without a guess.

    + chain: what ``chain_of`` found
    + text: the whole file
    """
    for depth, node in enumerate([root, *(value for _, value in chain)]):
        name = ".".join(PATH[:depth]) or "the top level"
        kind = "a list" if depth == len(PATH) else "a mapping"
        if node and (found := _unfit(node, kind)):
            what, got = found
            todo = f"write it as {kind}, each {'item' if kind == 'a list' else 'key'} on its line"
            raise Problem(f"{node.place}: {name} {what}", got=got, todo=todo)
        if node and depth == len(chain) < len(PATH):
            _refuse_merge(node, name, PATH[depth])
    for key, _ in chain:
        if getattr(key.event, "anchor", None) or key.tag or not _AFTER_KEY.match(text, key.end):
            what = f"{key.place}: {key.text} is not written as a key at the end of its line"
            raise Problem(what, todo=f"write it as {key.text}: and what it has on the next lines")


def _unfit(node: Node, kind: str) -> tuple[str, str] | None:
    """What keeps lines from being added to a value, and what it has in place of plain lines."""
    if node.is_empty:
        return None
    if node.is_alias:
        return "is an alias", f"*{node.event.anchor}"
    if node.event.anchor is not None:
        return "has an anchor, others may use it", f"&{node.event.anchor}"
    if node.tag is not None:
        return "has a tag", node.tag
    if node.is_flow:
        return "is written in flow style", "{" if node.is_mapping else "["
    if node.text is not None:
        return f"must be {kind}", node.text or "an empty text"
    found = "a mapping" if node.is_mapping else "a list"
    return None if found == kind else (f"must be {kind}", found)


def _refuse_merge(node: Node, name: str, key: str) -> None:
    """A key that is merged in from elsewhere would be hidden by one of ours."""
    for own, _ in node.pairs:
        if own.text == MERGE:
            todo = f"write {key} out beneath {name}"
            what = f"{own.place}: {name} may get {key} by a merge key"
            raise Problem(what, got=MERGE, todo=todo)
