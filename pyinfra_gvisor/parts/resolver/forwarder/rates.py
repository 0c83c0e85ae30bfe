"""How much one container may ask for, and all of them together."""

from __future__ import annotations

from collections import OrderedDict


class Rates:
    """
    A bucket of tokens for each source, as many as fit in memory.

    + per_s: tokens that come back each second
    + burst: tokens that there may be
    + sources: how many are remembered; the one that was quiet longest is forgotten first
    """

    def __init__(self, *, per_s: float, burst: float, sources: int) -> None:
        self._per_s, self._burst, self._most = per_s, burst, sources
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def takes(self, source: str, now_s: float) -> bool:
        """Whether this one may ask once more now."""
        left, then_s = self._known.pop(source, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then_s) * self._per_s)
        allowed = left >= 1
        self._known[source] = (left - allowed, now_s)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return allowed


class Places:
    """
    Places for what goes on at a time.

    + most: how many there are
    + of_one: how many of them one source may have
    """

    def __init__(self, *, most: int, of_one: int) -> None:
        self._most, self._of_one = most, of_one
        self._known: dict[str, int] = {}
        self.taken = 0

    def take(self, source: str) -> bool:
        """Whether there was one for this source; it has it then."""
        has = self._known.get(source, 0)
        if self.taken >= self._most or has >= self._of_one:
            return False
        self.taken += 1
        self._known[source] = has + 1
        return True

    def leave(self, source: str) -> None:
        """Give one back."""
        self.taken -= 1
        self._known[source] -= 1
        if not self._known[source]:
            del self._known[source]
