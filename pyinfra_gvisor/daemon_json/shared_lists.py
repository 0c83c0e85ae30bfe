"""
Lists in daemon.json to which other programs add members, and in which one member is ours.

Only that member is written and removed: all others stay, whoever wrote them, and in their order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyinfra_gvisor.base.json_text import EMPTY, Json, JsonText
from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.judge.rules import PLUGIN

AUTHORIZATION = "authorization-plugins"

DOOR_CHECK = "/opt/gvisor/judge/check"
"""A program on the node that has our authorization plugin answer."""
LINKS = "/opt/gvisor/judge/volumes"
"""A program on the node that settles who follows links in Docker's volumes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

MEMBERS: Mapping[str, str] = {AUTHORIZATION: PLUGIN}
"""Our member, by key."""


def with_others(key: str, wanted: Json, there: Json) -> Json:
    """
    Return what is to be in the file: of a list in which a member is ours, all that is there, too.

    + there: the value in the file; None if the file lacks the key
    """
    if key not in MEMBERS or not isinstance(wanted, list) or not isinstance(there, list):
        return wanted
    return [*there, *(item for item in wanted if item not in there)]


def without_ours(key: str, value: Json) -> list[Json] | None:
    """Return a list without our member; None if the key has no list in which a member is ours."""
    member = MEMBERS.get(key)
    if member is None or not isinstance(value, list):
        return None
    return [item for item in value if item != member]


def asking_plugins(before: str | None, after: str | None) -> dict[str, str]:
    """
    Return the variables of ``plugins.sh``.

    + before, after: the texts of daemon.json; None for no file
    """
    return {
        "plugins_before": _plugins(before),
        "plugins_after": _plugins(after),
        "ask_program": program("daemon_json/ask_plugins.pl"),
        "door_check": DOOR_CHECK,
        "links_program": LINKS,
    }


def _plugins(text: str | None) -> str:
    """Return the names of authorization plugins that are in a file, as words."""
    named = JsonText(EMPTY if text is None else text).value.get(AUTHORIZATION)
    names = map(str, named if isinstance(named, list) else [])
    return " ".join(name for name in names if _NAME.fullmatch(name))
