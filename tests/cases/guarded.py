"""A node with a firewall, or without one, and what is sent to it when rules are loaded."""

import re
from typing import Any

from pyinfra_gvisor.parts.egress.state import EgressState
from tests.arguments import Log
from tests.cases.fleet import Node
from tests.unit.answers import answer
from tests.unit.egress.egress_states import behind, found, planned, told

PLAIN = found()
PLAN = planned(PLAIN, {})
LOADED = behind(PLAN)
KEPT = ["egress try", "connect", "egress confirm", "disconnect"]


def guarded(*firewalls: EgressState, given: dict[str, Any] | None = None, **more: Any) -> Node:
    """
    A node with these firewalls, one after the other.

    + given: what ``answer`` is given for the rest of the node; more: as ``Node`` takes it
    """
    return Node([[*told(item), *answer(**(given or {}))] for item in firewalls], **more)


def said(caplog: Log, host: str = "a", *, level: str = "") -> list[str]:
    """What operations said about a host, without colours; ``level``: on that level alone."""
    prefix = re.compile(rf"\[@fake/{host}\] +")
    lines = [
        re.sub(r"\x1b\[\d*m", "", item.getMessage())
        for item in caplog.records
        if level in ("", item.levelname)
    ]
    mine = [prefix.sub("", line, count=1) for line in lines if prefix.match(line)]
    return [line for line in mine if line not in ("Connected", "Success")]
