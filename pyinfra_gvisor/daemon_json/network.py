"""The DNS resolvers that dockerd gives to containers; the firewall must allow them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.plan import current_text
from pyinfra_gvisor.node import Node


def named_resolvers(node: Node, text: str | None = None) -> tuple[str, ...]:
    """
    Return the resolvers that dockerd's flags or daemon.json name; empty if they name none.

    + text: the planned daemon.json; None for the file on the node
    """
    flagged = tuple(_flagged(node.flags))
    if flagged:  # dockerd does not start with both
        return flagged
    try:
        text = current_text(node) if text is None else text
        found: Json = None if text is None else JsonText(text).value.get("dns")
    except Problem:
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _flagged(words: Iterable[str]) -> Iterator[str]:
    before = ""
    for word in words:
        if before == "--dns":
            yield word
        elif word.startswith("--dns="):
            yield word.removeprefix("--dns=")
        before = word
