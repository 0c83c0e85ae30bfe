"""What the firewall blocked, or would block, as lines for an operator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.parts.egress.audit import stopped
from pyinfra_gvisor.parts.egress.observed import Attempt, Counted
from pyinfra_gvisor.parts.egress.plan import out_of_force
from pyinfra_gvisor.parts.egress.rules import STOPPED_SIZE
from pyinfra_gvisor.parts.egress.settings import EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState

APP_LABELS = ("coolify.resourceName", "com.docker.compose.project")
"""Labels that tell the app of a container, the first that it has: Coolify's docker.php, compose."""

_SHOWN = 200  # destinations of one container or address


def listed_attempts(host: Audited) -> Iterator[str]:
    """Return who tried what, by container: its app, the destinations, how often and when."""
    found, counted = host.node.part(EgressState), host.observed.part(Counted)
    if not found.there:
        declared = host.settings.part(EgressSettings).egress is not None
        yield f"no firewall is on the node{', though one is declared' if declared else ''}"
        return
    if why := out_of_force(found):
        yield f"the firewall is not active: {'; '.join(why)}"
    everybody = stopped(host)
    would = "would have blocked within seven days" if counted.only_reports else "blocked within 1 h"
    yield f"the firewall {would}{'' if everybody else ': nothing'}"
    apps = {
        item.name: next((labels[name] for name in APP_LABELS if name in labels), "")
        for item in host.node.containers
        for labels in (host.observed.given_to(item).labels,)
    }
    for who in everybody:
        app = f" of {apps[who.name]}" if apps.get(who.name) else ""
        yield f"{who.name}{app if who.is_running else ' (no running container)'}"
        for attempt in who.attempts[:_SHOWN]:
            yield f"    {attempt.to:<23} {_when(attempt)}"
        if more := len(who.attempts[_SHOWN:]):
            yield f"    and {more} more"
    if counted.is_full:
        yield f"more than {STOPPED_SIZE} different attempts; further ones were not recorded"


def _when(attempt: Attempt) -> str:
    last = f"{_minute(attempt.at_s)} UTC"
    if attempt.packets is None or attempt.since_s is None:
        return f"last {last}"
    many = f"{attempt.packets} packet{'' if attempt.packets == 1 else 's'}"
    return f"{many}, {_minute(attempt.since_s)} to {last}"


def _minute(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%d %b %H:%M}"
