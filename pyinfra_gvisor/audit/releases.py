"""Known sandbox escapes of a release that was found on a node, whatever its name."""

from __future__ import annotations

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import escapes_in


def known_escapes(release: str) -> str:
    """Return the ids of escapes from ``release``, separated by commas; empty if none is known."""
    try:
        return ", ".join(escape.id for escape in escapes_in(parse_release(release)))
    except Problem:
        return "unknown escapes (not a release name of gVisor)"
