"""Keep to Coolify's rate limit, as its answers state it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime

# Limit::perMinute in app/Providers/RouteServiceProvider.php. Laravel's minute starts with the first
# request; X-RateLimit-Remaining is the number of requests left in it.
WINDOW_S = 60.0
MARGIN_S = 1.0  # Laravel counts in whole seconds
MAX_WAIT_S = 120.0
UNTOLD_WAIT_S = 15.0  # if a 429 names no time, such as that of a proxy


class Pace:
    """Waits when Coolify asks for it, and before a request that it would refuse."""

    def __init__(self, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._sleep = sleep
        self._clock = clock
        self._remaining: int | None = None
        self._since = 0.0  # when the minute began, at the latest

    def keep(self) -> None:
        """Wait for the next minute if no request is left in this one."""
        if self._remaining == 0:
            self._wait(self._since + WINDOW_S + MARGIN_S - self._clock())

    def note(self, headers: Message) -> None:
        """Remember how many requests are left, from the headers of an answer."""
        left = _whole(headers.get("X-RateLimit-Remaining"))
        if left is not None and (self._remaining is None or left > self._remaining):
            self._since = self._clock()
        self._remaining = left

    def give_way(self, headers: Message) -> None:
        """Wait as long as the headers of an answer with status 429 ask for."""
        told = _retry_after_s(headers)
        self._wait(UNTOLD_WAIT_S if told is None else max(told, MARGIN_S))

    def _wait(self, seconds: float) -> None:
        self._remaining = None
        if seconds > 0:
            self._sleep(min(seconds, MAX_WAIT_S))


def _retry_after_s(headers: Message) -> float | None:
    """Parse Retry-After (RFC 9110, 10.2.3): seconds, or a date by the server's own clock."""
    text = headers.get("Retry-After", "")
    seconds = _whole(text)
    if seconds is not None:
        return float(seconds)
    then, now = _date(text), _date(headers.get("Date", ""))
    return (then - (now or datetime.now(UTC))).total_seconds() if then else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() and len(text) < 10 else None  # noqa: PLR2004


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
