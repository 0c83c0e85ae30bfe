"""Give a virtual machine less processor time, as on a crowded host."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from time import monotonic

from tools.lab.machines import VirtualNode

PERIOD_S = 0.1
_LOOP = ("perl", "-e", "my $sum; $sum += $_ % 7 for 1 .. 3_000_000; print((times)[0])")
"""It prints the seconds of processor time that it took."""


@contextmanager
def slowed(node: VirtualNode, share: float) -> Iterator[None]:
    """Let the machine run for this share of each period only."""
    over, pid = Event(), node.guest.process()
    assert pid is not None
    with ThreadPoolExecutor(1) as pool:
        slowing = pool.submit(_slow, pid, share, over)
        try:
            yield
        finally:
            over.set()
            slowing.result()


def speed_of(node: VirtualNode) -> float:
    """Return the speed of a loop in a machine, relative to this machine."""
    here = subprocess.run(_LOOP, check=True, capture_output=True, text=True, timeout=60).stdout
    began_s = monotonic()
    node.exec(*_LOOP)
    return float(here) / (monotonic() - began_s)


def _slow(pid: int, share: float, over: Event) -> None:
    try:
        while not over.is_set() and share < 1:
            os.kill(pid, signal.SIGSTOP)
            over.wait(PERIOD_S * (1 - share))
            os.kill(pid, signal.SIGCONT)
            over.wait(PERIOD_S * share)
    finally:
        os.kill(pid, signal.SIGCONT)
