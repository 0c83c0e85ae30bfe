"""Limit the queries of one container, and of all containers together."""

from __future__ import annotations

from collections import OrderedDict


class Rates:
    """
    A token bucket for each source.

    + per_s: tokens that are added each second
    + burst: size of the bucket
    + sources: how many sources are remembered; the longest idle one is forgotten first
    """

    def __init__(self, *, per_s: float, burst: float, sources: int) -> None:
        self._per_s, self._burst, self._most = per_s, burst, sources
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def takes(self, source: str, now_s: float) -> bool:
        """Take a token and return True, or return False if the source has none left."""
        left, then_s = self._known.pop(source, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then_s) * self._per_s)
        allowed = left >= 1
        self._known[source] = (left - allowed, now_s)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return allowed


class Places:
    """
    A limited number of places, for what may run at the same time.

    + most: how many places there are
    + of_one: how many of them one source may have
    """

    def __init__(self, *, most: int, of_one: int) -> None:
        self._most, self._of_one = most, of_one
        self._known: dict[str, int] = {}
        self.taken = 0

    def take(self, source: str) -> bool:
        """Take a place for a source and return True, or return False if there is none."""
        has = self._known.get(source, 0)
        if self.taken >= self._most or has >= self._of_one:
            return False
        self.taken += 1
        self._known[source] = has + 1
        return True

    def leave(self, source: str) -> None:
        """Give a place of a source back."""
        self.taken -= 1
        self._known[source] -= 1
        if not self._known[source]:
            del self._known[source]
