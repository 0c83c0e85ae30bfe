"""
A ``--config`` for pyinfra that makes it write down, when it ends, what became of every host.

pyinfra's JSON names neither hosts that it could not reach nor hosts that failed, and there is none
if no host is left. ``pyinfra_gvisor.drift`` starts pyinfra with this file; the user's own config
is read from here.
"""

from __future__ import annotations

import atexit
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
from pyinfra_cli.util import exec_file  # type: ignore[import-untyped] # it is not annotated

from pyinfra_gvisor.drift.record import (
    DEFAULT_CONFIG,
    RECORD_PATH,
    USERS_CONFIG,
    HostRecord,
    Record,
    Said,
)

# Where pyinfra itself tells how far it is: Host.connect, and the loading of deploy files.
PROGRESS = ("connect", "load_file")


class Listener(logging.Handler):
    """Keeps what is said about hosts: pyinfra forgets it once it is printed."""

    def __init__(self, state: State) -> None:
        super().__init__(logging.INFO)
        self.said: defaultdict[str, list[Said]] = defaultdict(list)
        self._state = state

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, if it is about a host and more than progress."""
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
        # A line that belongs to a host need not begin with its name: diffs by pyinfra's own
        # operations do not. One that does need not be said in the host's context: connecting.
        host: Host | None = ctx_host.get()
        if host is not None:
            return host
        hosts = self._state.inventory if self._state.initialised else ()
        return next((host for host in hosts if line.startswith(f"[{host.name}]")), None)


def record_of(state: State, said: dict[str, list[Said]]) -> Record:
    """What ``state`` knows of the inventory's hosts; none, if it was not loaded."""
    if not state.initialised:
        return Record(looks_for_changes=state.check_for_changes, hosts=(), deploys=())
    hosts = tuple(_host_record(state, host, said.get(host.name, [])) for host in state.inventory)
    # From pyinfra's command line, the order of an operation begins with its deploy file's position.
    deploys = {meta.op_order[0] for meta in state.op_meta.values()}
    return Record(
        looks_for_changes=state.check_for_changes, hosts=hosts, deploys=tuple(sorted(deploys))
    )


def _host_record(state: State, host: Host, said: list[Said]) -> HostRecord:
    return HostRecord(
        name=host.name,
        groups=tuple(host.groups),
        chosen=state.is_host_in_limit(host),
        # Activated when all others have connected or failed; no longer connected at the end.
        connected=host in state.activated_hosts or host.connected,
        failed=host in state.failed_hosts,
        operations=len(state.ops[host]),
        said=tuple(said),
    )


def _level(number: int) -> Literal["info", "warning", "error"]:
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info"


def record_this_run() -> None:
    """Listen from now on, write the record when this process ends, and load the user's config."""
    state, path = ctx_state.get(), Path(os.environ[RECORD_PATH])
    listener = Listener(state)
    logger.addHandler(listener)

    def write() -> None:
        path.write_text(record_of(state, listener.said).model_dump_json(), "utf-8")

    def stop(_signal: int, _frame: FrameType | None) -> None:
        write()
        os._exit(1)  # anything gentler waits for the command that hangs

    atexit.register(write)
    signal.signal(signal.SIGTERM, stop)
    config = Path(state.cwd or ".", os.environ[USERS_CONFIG])
    if config.exists():
        exec_file(str(config))
    elif os.environ[USERS_CONFIG] != DEFAULT_CONFIG:  # pyinfra would go on without it
        raise PyinfraError(f"no such config file: {config}")


if not __name__.startswith("pyinfra_gvisor."):
    record_this_run()
