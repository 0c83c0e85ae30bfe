"""Refuse an inventory in which two hosts have one name: pyinfra would use only the last one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.redaction import shown


def refuse_same_names(groups: Mapping[str, Iterable[Any]]) -> None:
    """
    Raise ``Problem`` if entries of one name have contradicting data, so that they are two hosts.

    + groups: the lists of the inventory: names, or names with their data

    A host may be in several groups, and may have its data in one of them. Within one list, two
    entries of a name must be equal.
    """
    known: dict[str, dict[str, Any]] = {}
    for group, entries in groups.items():
        here: dict[str, dict[str, Any]] = {}
        for entry in entries:
            name, data = entry if isinstance(entry, tuple) else (entry, {})
            if not isinstance(data, dict):
                todo = f'write ("{name}", {{"ssh_user": "debian"}}), or the name alone'
                raise Problem(f"data of host {name} must be a table", got=data, todo=todo)
            before = here.get(name, known.get(name, {}))
            keys = data.keys() | before.keys() if name in here else data.keys() & before.keys()
            for key in sorted(key for key in keys if data.get(key) != before.get(key)):
                raise _problem(group, name, key, before.get(key), data.get(key))
            here[name] = {**before, **data}
        known |= here


def _problem(group: str, name: str, key: str, before: object, now: object) -> Problem:
    values = " and ".join(str(shown(value, [key])) for value in (before, now))
    return Problem(
        f"the inventory has two hosts called {name}: {key} differs (list {group})",
        got=values,
        todo="give each host a name of its own, and its address as ssh_hostname",
    )
