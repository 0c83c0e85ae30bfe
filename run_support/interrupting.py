"""
End a run on Ctrl-C or SIGTERM at once, and with an exit code that says so.

pyinfra 3.10 exits with 0 (pyinfra_cli/main.py), and before that it waits for hosts that do not
answer: ``disconnect_all`` needs a place in ``State.pool``, and they hold theirs.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from types import FrameType

import gevent  # type: ignore[import-untyped] # it is not annotated
import pyinfra
from pyinfra import logger
from pyinfra.api import State

from pyinfra_gvisor.drift.record import RECORD_PATH
from pyinfra_gvisor.facts.deadline import hurry

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_on_signals(state: State) -> None:
    """Do so in this run, if it is one of pyinfra's command line; the drift command has its own."""
    if pyinfra.is_cli and RECORD_PATH not in os.environ:
        for number in SIGNALS:
            signal.signal(number, partial(_end, state))


def _end(state: State, number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)  # the second time nothing is waited for
    logger.warning(f"    {signal.Signals(number).name}: no host gets another command")
    hurry(state)
    state.pool.kill(block=False)
    # Python calls this wherever it is: raised in a greenlet or a destructor, it might end nothing.
    gevent.get_hub().parent.throw(SystemExit(128 + number))
