"""Whether operations on a host are only asked what they would do, and what they say meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pyinfra.api import Host

_KEY = "pyinfra_gvisor.look"


@dataclass
class Look:
    """
    What was seen so far.

    ``pending``: an operation would do something. ``said``: messages with their level, which count
    if no operation would.
    """

    pending: bool = False
    said: list[tuple[str, Callable[[str], None]]] = field(default_factory=list)


def begin_look(host: Host) -> Look:
    """Have operations on the host only be asked from now on."""
    look = host.connector_data[_KEY] = Look()
    return look


def end_look(host: Host) -> None:
    """Have operations be operations again."""
    del host.connector_data[_KEY]


def look_at(host: Host) -> Look | None:
    """Return the look that goes on; None if operations are run."""
    found: Look | None = host.connector_data.get(_KEY)
    return found
