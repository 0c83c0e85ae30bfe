"""Known escapes of a release that was found on a node, whatever its name."""

from __future__ import annotations

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import escapes_in


def known_escapes(release: str) -> str:
    """The ids of the escapes that it is open to, in words; empty if there are none."""
    try:
        return ", ".join(escape.id for escape in escapes_in(parse_release(release)))
    except Problem:
        return "nobody knows what: its name is not one of gVisor's releases"
