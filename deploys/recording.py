"""
A ``--config`` for pyinfra that writes the state of every host to a file when pyinfra exits.

pyinfra's JSON names no unreachable host and no failed host, and there is no JSON if no host is
left. ``pyinfra_gvisor.drift`` starts pyinfra with this file, which then runs the user's own config.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import signal
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Literal

import click
from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host, ctx_state
from pyinfra_cli.util import exec_file

from pyinfra_gvisor.deploys.hosts import require_names
from pyinfra_gvisor.drift.record import (
    DEFAULT_CONFIG,
    RECORD_PATH,
    USERS_CONFIG,
    HostRecord,
    Record,
    Said,
)
from pyinfra_gvisor.report.summary import RunEnd, outcome
from pyinfra_gvisor.rollout.own import own_shard
from pyinfra_gvisor.run_support.ending import counted, ended

# The functions of pyinfra that log only progress: Host.connect, and the loading of deploy files.
PROGRESS = ("connect", "load_file")

_PR_SET_PDEATHSIG = 1  # linux, include/uapi/linux/prctl.h


class Listener(logging.Handler):
    """Keeps each message about a host: pyinfra itself keeps none."""

    def __init__(self, state: State) -> None:
        super().__init__(logging.INFO)
        self.said: defaultdict[str, list[Said]] = defaultdict(list)
        self._state = state

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message if it is about a host and is not only progress."""
        line = click.unstyle(record.getMessage())
        if record.levelno < logging.WARNING and record.funcName in PROGRESS:
            return
        host = self._host(line)
        if host is None:
            return
        text = line.removeprefix(click.unstyle(host.print_prefix)).rstrip()
        if text:
            self.said[host.name].append(Said(level=_level(record.levelno), text=text))

    def _host(self, line: str) -> Host | None:
        # A message about a host may have no name in it: pyinfra's own diffs have none. A message
        # with a name may be logged outside of the host's context: while pyinfra connects.
        host: Host | None = ctx_host.get()
        if host is not None:
            return host
        hosts = self._state.inventory if self._state.initialised else ()
        return next((host for host in hosts if line.startswith(f"[{host.name}]")), None)


def record_of(state: State, said: dict[str, list[Said]]) -> Record:
    """Return what ``state`` knows of the inventory's hosts; no host if there is no inventory."""
    if not state.initialised:
        return Record(looks_for_changes=state.check_for_changes, hosts=(), deploys=())
    end = ended(state)
    hosts = tuple(
        _host_record(state, host, said.get(host.name, []), end) for host in state.inventory
    )
    # On pyinfra's command line, an operation's order begins with the position of its deploy file.
    deploys = {meta.op_order[0] for meta in state.op_meta.values()}
    return Record(
        looks_for_changes=state.check_for_changes, hosts=hosts, deploys=tuple(sorted(deploys))
    )


def _host_record(state: State, host: Host, said: list[Said], end: RunEnd | None) -> HostRecord:
    mine = next((one for one in end.hosts if one.name == host.name), None) if end else None
    return HostRecord(
        name=host.name,
        groups=tuple(host.groups),
        chosen=state.is_host_in_limit(host),
        # Activated after all hosts have connected or failed; disconnected at the end of the run.
        connected=host in state.activated_hosts or host.connected,
        failed=host in state.failed_hosts,
        operations=len(state.ops[host]),
        said=tuple(said),
        containers=counted(host),
        outcome=outcome(mine, end) if mine and end else None,
        causes=mine.causes if mine else (),
    )


def _level(number: int) -> Literal["info", "warning", "error"]:
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info"


def end_with_the_caller() -> None:
    """Have the kernel send SIGTERM here when the process that started this one ends: prctl(2)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def record_this_run() -> None:
    """Keep all messages from now on, write the record at exit, and run the user's config."""
    state, path = ctx_state.get(), Path(os.environ[RECORD_PATH])
    listener = Listener(state)
    logger.addHandler(listener)

    def write() -> None:
        path.write_text(record_of(state, listener.said).model_dump_json(), "utf-8")

    def stop(_signal: int, _frame: FrameType | None) -> None:
        write()
        os._exit(1)  # a normal exit would wait for the command that hangs

    end_with_the_caller()
    if own_shard():
        require_names()
    atexit.register(write)
    signal.signal(signal.SIGTERM, stop)
    config = Path(state.cwd or ".", os.environ[USERS_CONFIG])
    if config.exists():
        exec_file(str(config))
    elif os.environ[USERS_CONFIG] != DEFAULT_CONFIG:  # pyinfra itself would ignore that
        raise PyinfraError(f"no such config file: {config}")


if not __name__.startswith("pyinfra_gvisor."):
    record_this_run()
