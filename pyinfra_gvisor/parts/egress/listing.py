"""What the firewall blocked, or would block, as lines for an operator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.parts.egress.audit import STOPPED_MANY, Stopped, stopped
from pyinfra_gvisor.parts.egress.observed import Attempt, Counted
from pyinfra_gvisor.parts.egress.plan import out_of_force
from pyinfra_gvisor.parts.egress.rules import STOPPED_SIZE
from pyinfra_gvisor.parts.egress.settings import EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.platforms.coolify import RESOURCE_NAME

APP_LABELS = (RESOURCE_NAME, "com.docker.compose.project")
"""Labels that tell the app of a container, the first that it has: Coolify's docker.php, compose."""

_SHOWN = 200  # destinations of one container or address
_NAME = 60  # characters of a name that a tenant chose


def listed_attempts(host: Audited) -> Iterator[str]:
    """Return who tried what, by container: its app, the destinations, how often and when."""
    found, counted = host.node.part(EgressState), host.observed.part(Counted)
    if not found.there:
        declared = host.settings.part(EgressSettings).egress is not None
        yield f"no firewall is on the node{', though one is declared' if declared else ''}"
        return
    if why := out_of_force(found):
        yield f"the firewall is not active: {'; '.join(why)}"
    if not counted.counters:
        yield "the counters of the firewall could not be read; run again"
        return
    if counted.is_full:
        yield f"more than {STOPPED_SIZE} different attempts: NOT ALL ARE LISTED"
    yield _head(counted)
    everybody = stopped(host)
    within = "seven days" if counted.only_reports else "1 h"
    yield f"over TCP or UDP within {within}: {'' if everybody else 'nothing'}".rstrip()
    running = [who for who in everybody if who.is_running]
    gone = [who for who in everybody if not who.is_running]
    for who in (*running, *gone[:STOPPED_MANY]):
        yield from _attempts(who, _app(host, who))
    if more := len(gone[STOPPED_MANY:]):
        yield f"and {more} more addresses"


def _head(counted: Counted) -> str:
    kind = "would_drop_" if counted.only_reports else "drop_"
    packets = (
        f"{name.removeprefix(kind)} {count}"
        for name, count in counted.counters.items()
        if name.startswith(kind) and count
    )
    since = f" since {_minute(counted.loaded_s)} UTC" if counted.loaded_s is not None else ""
    does = "would have blocked" if counted.only_reports else "blocked"
    return f"the firewall {does}, in packets{since}: {', '.join(packets) or 'nothing'}"


def _app(host: Audited, who: Stopped) -> str:
    if not who.is_running:
        return " (no running container)"
    given = (host.observed.given_to(item) for item in host.node.containers if item.name == who.name)
    labels = next((item.labels for item in given), {})  # none of Docker itself
    app = next((labels[name] for name in APP_LABELS if name in labels), "")
    return f" of {cut(app, _NAME)}" if app else ""


def _attempts(who: Stopped, app: str) -> Iterator[str]:
    yield f"{cut(who.name, _NAME)}{app}"
    for attempt in who.attempts[:_SHOWN]:
        yield f"    {attempt.to:<23} {_when(attempt)}"
    if more := len(who.attempts[_SHOWN:]):
        yield f"    and {more} more"


def _when(attempt: Attempt) -> str:
    last = f"{_minute(attempt.at_s)} UTC"
    if attempt.packets is None:
        return f"last {last}"
    many = f"{attempt.packets} packet{'' if attempt.packets == 1 else 's'}"
    since = f"{_minute(attempt.since_s)} to" if attempt.since_s is not None else "last"
    return f"{many}, {since} {last}"


def _minute(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%d %b %H:%M}"
