"""
Find the volumes of Coolify's service in a compose file, as docker compose does.

Our lines can be added only if every key of the path is written out. Below an anchor they would also
apply elsewhere, and below a tag of compose they would mean something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from posixpath import normpath

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.yaml_nodes import BREAKS, MERGE, Node, lookup

PATH = ("services", "coolify", "volumes")

_AFTER_KEY = re.compile(rf" *: *(?:#[^{BREAKS}]*)?(?:[{BREAKS}]|\Z)")
_VARIABLE = re.compile(r"\$\{[^{}]*\}")


def chain_of(root: Node | None) -> list[tuple[Node, Node]]:
    """Return the keys of the path with their values, as far as they are in the file."""
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
    """Return the service's volumes in this file as docker compose sees them, aliases resolved."""
    node = root
    for name in PATH:
        node = lookup(node, name)
    if node is None or not node.is_list or node.tag not in (None, "!override"):
        return []
    return [item.resolved() for item in node.children]


def in_the_way(item: Node, targets: Mapping[str, str]) -> str:
    """Return why our mounts do not work together with this one; empty if they do."""
    if item.tag:
        return "a mount with a YAML tag"  # One !reset makes compose 2.26 drop the whole list.
    same = item.text not in targets and target_of(item) in targets.values()
    return "another mount has the target of ours" if same else ""


def is_over(item: Node) -> Callable[[str], bool]:
    """
    Return a function that tells if a path is inside the target of this mount.

    Docker creates a mount point inside it, on the host. If it cannot, as in a read-only mount, the
    container does not start.
    """
    target = target_of(item)
    return lambda path: bool(target) and path.startswith(target.rstrip("/") + "/")


def target_of(item: Node) -> str:
    """Return the target of a volume: the second part in short syntax, ``target`` in long syntax."""
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
    Refuse a path to which no line can be added safely.

    + chain: the result of ``chain_of``
    + text: the whole file
    """
    for depth, node in enumerate([root, *(value for _, value in chain)]):
        name = ".".join(PATH[:depth]) or "the top level"
        kind = "a list" if depth == len(PATH) else "a mapping"
        if node and (found := _unfit(node, kind)):
            what, got = found
            part = "item" if kind == "a list" else "key"
            todo = f"write it as {kind}, each {part} on its own line"
            raise Problem(f"{node.place}: {name} {what}", got=got, todo=todo)
        if node and depth == len(chain) < len(PATH):
            _refuse_merge(node, name, PATH[depth])
    for key, _ in chain:
        if getattr(key.event, "anchor", None) or key.tag or not _AFTER_KEY.match(text, key.end):
            what = f"{key.place}: {key.text} is not written as a plain key at the end of its line"
            raise Problem(what, todo=f"write {key.text}: and its values on the next lines")


def _unfit(node: Node, kind: str) -> tuple[str, str] | None:
    """Return why no line can be added to a value, and what was found; None if one can."""
    if node.is_empty:
        return None
    if node.is_alias:
        return "is an alias", f"*{node.event.anchor}"
    if node.event.anchor is not None:
        return "has an anchor, others may use it", f"&{node.event.anchor}"
    if node.tag is not None:
        return "has a YAML tag", node.tag
    if node.is_flow:
        return "is written in flow style", "{" if node.is_mapping else "["
    if node.text is not None:
        return f"must be {kind}", node.text or "an empty text"
    found = "a mapping" if node.is_mapping else "a list"
    return None if found == kind else (f"must be {kind}", found)


def _refuse_merge(node: Node, name: str, key: str) -> None:
    """Refuse a merge key: a key of ours would hide one that comes from there."""
    for own, _ in node.pairs:
        if own.text == MERGE:
            todo = f"write {key} out below {name}"
            what = f"{own.place}: {name} may get {key} from a merge key"
            raise Problem(what, got=MERGE, todo=todo)
