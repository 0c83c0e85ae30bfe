"""Errors for the journal."""

from __future__ import annotations

import sys
import time

EVERY_S = 1.0


class Diagnostics:
    """Lines on stderr, at most one per second; the next line says how many were left out."""

    def __init__(self) -> None:
        self._told_s = float("-inf")
        self._left_out = 0

    def tell(self, text: str) -> None:
        """Print a line, or only count it if the last line was less than a second ago."""
        now_s = time.monotonic()
        if now_s - self._told_s < EVERY_S:
            self._left_out += 1
            return
        more = f" (and {self._left_out} more)" if self._left_out else ""
        self._told_s, self._left_out = now_s, 0
        sys.stderr.write(f"{text}{more}\n")
