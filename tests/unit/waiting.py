"""Waiting for what another process or thread is about to do."""

from collections.abc import Callable
from time import monotonic, sleep

WAITED_S = 30


def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so; fail if it does not come to be."""
    end_s = monotonic() + WAITED_S
    while not holds():
        assert monotonic() < end_s, "it did not come to be"
        sleep(0.02)
