"""The program's commands: ``looks``, ``move ID``, ``resume``. Prints one object of JSON a line."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pyinfra_gvisor.moves.mover.engine import Failed
from pyinfra_gvisor.moves.mover.moving import Given, Mover

_LOCK = "/run/pyinfra-gvisor/move.lock"
_LOCK_S = 300


class Ended(Exception):
    """A signal asks this program to end."""


def main(words: Sequence[str]) -> int:
    """Run a command: what the controller gives, as JSON, then the command's words."""
    given = Given(**json.loads(words[0]))
    try:
        if words[1] == "looks":
            _print(*Mover(given).looks())
        else:
            _alone(given, words[1:])
    except (Failed, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _alone(given: Given, words: Sequence[str]) -> None:
    """
    Change something, with a second process that ends the work if the first one is killed.

    Without it an app could stay stopped, for example after the kernel has ended a process because
    memory ran out.
    """
    Path(_LOCK).parent.mkdir(mode=0o700, exist_ok=True)
    with Path(_LOCK).open("ab") as lock, Path(given.lock).open("ab") as changes:
        _locked(lock, fcntl.LOCK_EX, "another move is running on this node")
        _locked(changes, fcntl.LOCK_SH, "daemon.json of this node is being changed")
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("-1000", encoding="ascii")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _print(*Mover(given).resume())
        if words[0] == "move":
            _in_a_process(given, words[1])


def _locked(file: IO[bytes], how: int, who: str) -> None:
    """Wait for a lock, while which dockerd is not restarted. Raises ``Failed``."""
    for _ in range(_LOCK_S):
        with suppress(BlockingIOError):
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return
        time.sleep(1)
    raise Failed(f"{who}; wait until that ends, then run again")


def _in_a_process(given: Given, identity: str) -> None:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _print({"id": identity, **Mover(given).move(identity)})
            sys.stdout.flush()
            code = 0
        except Exception as error:  # noqa: BLE001 - what it was, before the parent goes back
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1] != 0:
        _print(*Mover(given).resume())


def _print(*items: dict[str, Any]) -> None:
    for item in items:
        sys.stdout.write(f"{json.dumps(item)}\n")
