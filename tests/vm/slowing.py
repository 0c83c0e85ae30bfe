"""A machine that gets less of a processor than it could have, as a crowded host gives it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from pyinfra_gvisor.lab.machines import VirtualNode

PERIOD_S = 0.1
_LOOP = ("perl", "-e", "my $sum; $sum += $_ % 7 for 1 .. 3_000_000; print((times)[0])")
"""Prints the seconds of processor time that it took."""


def share_for(node: VirtualNode, speed: float) -> float:
    """
    Return the share of time in which a machine may run, so that a loop is that fast in it.

    + speed: of this machine's own, 0.1 is a tenth
    """
    here = subprocess.run(_LOOP, check=True, capture_output=True, text=True, timeout=60).stdout
    there = node.exec(*_LOOP).stdout
    return min(1.0, speed * float(there) / float(here))


@contextmanager
def slowed(node: VirtualNode, share: float) -> Iterator[None]:
    """Let the machine run for this share of each period only."""
    over = Event()
    thread = Thread(target=_slow, args=(node, share, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _slow(node: VirtualNode, share: float, over: Event) -> None:
    pid = node.guest.process()
    assert pid is not None
    try:
        while not over.is_set() and share < 1:
            os.kill(pid, signal.SIGSTOP)
            over.wait(PERIOD_S * (1 - share))
            os.kill(pid, signal.SIGCONT)
            over.wait(PERIOD_S * share)
    finally:
        os.kill(pid, signal.SIGCONT)
