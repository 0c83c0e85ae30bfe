"""
The optional parts of a node, such as the egress firewall: one package for each.

``NAMES`` is the only list of them. Everything else finds the modules of a part by its name.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NAMES = ("divert", "egress", "judge", "keeper", "kernel", "resolver", "watch")


@cache
def members(module: str, member: str) -> dict[str, Any]:
    """
    Return the same member of the same module of every part, by the part's name, in order.

    + module: such as ``audit``, which is imported now; parts without it are left out
    + member: such as ``RULES``; parts whose module lacks it are left out
    """
    paths = {name: f"pyinfra_gvisor.parts.{name}.{module}" for name in NAMES}
    there = {name: import_module(path) for name, path in paths.items() if find_spec(path)}
    return {name: getattr(item, member) for name, item in there.items() if hasattr(item, member)}
