"""The Python of a node, on which programs of ours run there."""

from __future__ import annotations

import re

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Reading

OLDEST_PYTHON = (3, 10)  # of Ubuntu 22.04
INSTALL = "apt-get install python3"


class Python(Reading):
    """
    What ``/usr/bin/python3`` is. ``version`` is empty if there is none.

    ``modules`` are the modules that programs of ours need, that it has and that
    ``python3-minimal`` of some release of Debian or Ubuntu lacks.
    """

    version: str = ""
    modules: tuple[str, ...] = ()

    @classmethod
    def of(cls, line: str) -> Python:
        """Return what ``python`` in ``node_state.sh`` printed: the version, then the modules."""
        version, *modules = line.split() or [""]
        return cls(version=version, modules=tuple(modules))

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the major and minor version; empty if there is no Python."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])

    def lacks(self, what: str, *modules: str) -> Problem | None:
        """
        Return why a program cannot run with this Python; None if it can.

        + what: who needs it, with the verb, such as ``the resolver needs``
        + modules: what it imports of what ``python3-minimal`` lacks
        """
        if self.numbers < OLDEST_PYTHON:
            oldest = ".".join(map(str, OLDEST_PYTHON))
            got = self.version or "none"
            return Problem(f"{what} Python {oldest} or later", got=got, todo=INSTALL)
        missing = [module for module in modules if module not in self.modules]
        if not missing:
            return None
        what = f"{what} Python's {' and '.join(missing)}, which python3-minimal lacks"
        return Problem(what, got=f"Python {self.version}", todo=INSTALL)
