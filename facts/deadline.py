"""
Give up a host that does not answer, so that the others go on.

pyinfra waits without end for a command, and with every operation for all hosts. What this module
uses of pyinfra 3.10's inside: ``Host.connector``, whose methods it replaces, the ssh connector's
paramiko client, and the names of operations (``Host.executing_op_hash``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent  # type: ignore[import-untyped] # it is not annotated
from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import Host, State, StringCommand
from pyinfra.api.output import format_text
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.settings import host_timeout_s

FIRST_TOLD_S: Final = 10.0
LATER_TOLD_S: Final = 60.0  # after a minute
SILENT_S = 120.0  # a working ssh server answers within seconds, however long a command takes
ASK_EVERY_S = 10.0
DOWNLOAD_S: Final = 86400.0  # 165 MB at 2 kB/s
HURRY_S: Final = 5.0  # for what is still to be done on a host after Ctrl-C
CLOSE_S: Final = 2.0
MOST_NAMES: Final = 5

_KEY = "pyinfra_gvisor.deadline"


class Download(StringCommand):
    """A command by which the node downloads, and which fails by itself without progress."""


@dataclass
class _Timer:
    """Ends what the current greenlet does. One of gevent's own would go on where it stopped."""

    seconds: float
    timeout: Any = None

    def restart(self) -> None:
        self.stop()
        self.timeout = gevent.Timeout(self.seconds)
        self.timeout.start()

    def stop(self) -> None:
        if self.timeout:
            self.timeout.close()


@dataclass
class _Deadline:
    """
    How long a host may take for a command.

    ``timer``: of the command or transfer that runs. ``silent``: its ssh server does not answer.
    ``given_up``: why nothing is sent to it any more.
    """

    limit_s: float
    timer: _Timer | None = None
    silent: bool = False
    given_up: Problem | None = None


@dataclass
class _Waiting:
    """What a run waits for: by host, in which step and since when."""

    calls: dict[Host, tuple[str, float]] = field(default_factory=dict)
    limits_s: dict[Host, float] = field(default_factory=dict)
    teller: Any = None
    hurried: bool = False


_RUNS: WeakKeyDictionary[State, _Waiting] = WeakKeyDictionary()


def limit(host: Host) -> None:
    """
    End each command of a host after its ``gvisor_host_timeout_s``.

    A file transfer ends that long after its last progress, a ``Download`` after a day.
    """
    if _KEY not in host.connector_data:
        limit_connector(host, host.connector)


def limit_connector(host: Host, connector: BaseConnector) -> None:
    """Do the same for another connection to a host. A call that fails raises nothing."""
    host.connector_data.setdefault(_KEY, _Deadline(float(host_timeout_s(host.data.get))))
    for name, failed in (
        ("run_shell_command", (False, CommandOutput([]))),
        ("put_file", False),
        ("get_file", False),
    ):
        if call := getattr(connector, name, None):
            setattr(connector, name, partial(_within, host, connector, call, failed))


def progressed(host: Host) -> None:
    """Restart the time limit of a host's file transfer, because a piece of the file was sent."""
    deadline: _Deadline | None = host.connector_data.get(_KEY)
    if deadline is None or deadline.timer is None:
        return
    deadline.timer.restart()
    run = _RUNS[host.state]
    _, began_s = run.calls[host]
    run.limits_s[host] = round(time.monotonic() - began_s + deadline.timer.seconds)


def given_up(host: Host) -> Problem | None:
    """Return why nothing is sent to a host any more; None if it answers."""
    deadline: _Deadline | None = host.connector_data.get(_KEY)
    return deadline.given_up if deadline else None


def hurry(state: State) -> None:
    """Give each host only seconds for what is still to be done: the user has ended the run."""
    _RUNS.setdefault(state, _Waiting()).hurried = True


def hurried(state: State) -> bool:
    """Return True if the user has ended the run."""
    return state in _RUNS and _RUNS[state].hurried


def _within(
    host: Host,
    connector: BaseConnector,
    call: Callable[..., Any],
    failed: Any,
    *arguments: Any,
    **named: Any,
) -> Any:
    """Return what the call returns; ``failed`` if the host is given up, now or before."""
    deadline: _Deadline = host.connector_data[_KEY]
    if deadline.given_up:
        return failed
    run = _RUNS.setdefault(host.state, _Waiting())
    limit_s = DOWNLOAD_S if isinstance(next(iter(arguments), None), Download) else deadline.limit_s
    seconds = min(limit_s, HURRY_S) if run.hurried else limit_s
    timer, before = _Timer(seconds), deadline.timer
    outer = _begin(run, host, seconds)
    asker = gevent.spawn_later(ASK_EVERY_S, _ask, connector, deadline)
    try:
        timer.restart()
        deadline.timer = timer
        result = call(*arguments, **named)
    except gevent.Timeout as expired:
        if expired is not timer.timeout:
            raise
        _give_up(host, connector, deadline, f"no answer within {seconds:g} s")
        return failed
    except (OSError, EOFError, SSHException):
        if not deadline.silent:
            raise
    finally:
        timer.stop()
        deadline.timer = before
        asker.kill(block=False)
        _end(run, host, outer)
    if not deadline.silent:
        return result
    what = f"no answer of its ssh server within {SILENT_S:g} s"
    _give_up(host, connector, deadline, what)
    return failed


def _ask(connector: BaseConnector, deadline: _Deadline) -> None:
    """
    Ask a host's ssh server again and again whether it is there, while a command runs.

    A paused node's kernel answers what TCP asks. Only sshd itself answers a request of SSH.
    """
    client: Any = getattr(connector, "client", None)
    transport = client.get_transport() if client else None
    while transport and transport.is_active():
        silence = gevent.Timeout(SILENT_S)
        try:
            with silence:
                transport.global_request("keepalive@openssh.com", wait=True)
        except gevent.Timeout:
            deadline.silent = True
            client.close()  # which ends the command
            return
        gevent.sleep(ASK_EVERY_S)


def _begin(run: _Waiting, host: Host, seconds: float) -> tuple[str, float] | None:
    """Note a call. Returns the one that it is part of: an upload runs commands, too."""
    outer = run.calls.get(host)
    if outer is None:
        run.calls[host] = (step(host), time.monotonic())
        run.limits_s[host] = seconds
    if run.teller is None:
        run.teller = gevent.spawn(_tell, run)
    return outer


def _end(run: _Waiting, host: Host, outer: tuple[str, float] | None) -> None:
    if outer is None:
        del run.calls[host]
    if not run.calls and run.teller:
        run.teller.kill(block=False)
        run.teller = None


def step(host: Host) -> str:
    """Return what a host is doing, for messages."""
    operation = host.executing_op_hash
    if operation is None:
        return "Read the node's state"
    return str(next(iter(host.state.get_op_meta(operation).names))).rpartition(" | ")[2]


def _give_up(host: Host, connector: BaseConnector, deadline: _Deadline, what: str) -> None:
    deadline.given_up = Problem(
        f"{what} in the step {step(host)!r}, so the connection was closed",
        todo="check that the host still works, then run again. The node finishes or undoes a "
        "started change by itself, and the next run shows the result",
    )
    host.log(format_text(deadline.given_up.at("connection", "ssh", host.name), "red"), logger.error)
    client = getattr(connector, "client", None)
    if client:
        gevent.spawn(client.close).join(CLOSE_S)  # which may itself wait for the host


def _tell(run: _Waiting) -> None:
    """Say what the run waits for, as long as there is something."""
    told_s = 0.0
    while True:
        gevent.sleep(1)
        now_s = time.monotonic()
        ages_s = {host: now_s - began_s for host, (_, began_s) in run.calls.items()}
        oldest_s = max(ages_s.values(), default=0.0)
        gap_s = FIRST_TOLD_S if oldest_s <= LATER_TOLD_S else LATER_TOLD_S
        if oldest_s >= FIRST_TOLD_S and now_s - told_s >= gap_s:
            told_s = now_s
            for line in _waiting_lines(run, ages_s):
                logger.info(f"    {line}")


def _waiting_lines(run: _Waiting, ages_s: dict[Host, float]) -> list[str]:
    """Return a line for each step: the hosts, how long they have taken, and until when."""
    by_step: dict[str, list[Host]] = {}
    for host, (name, _) in run.calls.items():
        if ages_s[host] >= FIRST_TOLD_S:
            by_step.setdefault(name, []).append(host)
    return [
        f"waiting for {_names(hosts)}: {name}: {max(ages_s[host] for host in hosts):.0f} s; "
        f"given up after {max(run.limits_s[host] for host in hosts):g} s"
        for name, hosts in by_step.items()
    ]


def _names(hosts: list[Host]) -> str:
    names = ", ".join(host.name for host in hosts[:MOST_NAMES])
    more = len(hosts) - MOST_NAMES
    return f"{names} and {more} more" if more > 0 else names
