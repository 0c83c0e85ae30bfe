"""
What may stand on a node beside the runtimes, a package for each part.

``NAMES`` is the one place that lists them; everything else finds a part's modules by their names.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NAMES = ("egress", "kernel", "resolver", "watch")


@cache
def members(module: str, member: str) -> dict[str, Any]:
    """
    Return what parts have under one name in their modules of one name, by part, in order.

    + module: such as ``audit``, which is imported now; a part without it is left out
    + member: such as ``RULES``; a part whose module has none is left out
    """
    paths = {name: f"{__name__}.{name}.{module}" for name in NAMES}
    there = {name: import_module(path) for name, path in paths.items() if find_spec(path)}
    return {name: getattr(item, member) for name, item in there.items() if hasattr(item, member)}
