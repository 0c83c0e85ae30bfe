"""
The resident judge: it answers wrappers, and dockerd as an authorization plugin.

A wrapper that gets no answer runs the same program itself. dockerd refuses what it asked for.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from importlib import import_module

from pyinfra_gvisor.judge.plugin import answer_docker, judge_request, prepare
from pyinfra_gvisor.judge.processes import MOST, Judges, Work, process_at, sees_the_same
from pyinfra_gvisor.judge.questions import answer

BEGUN = b"begun\n"
_FIRST = 3  # the first descriptor of systemd's: sd_listen_fds(3)
_READ_S = 10


def serve(own: str) -> None:
    """
    Answer at systemd's sockets, for ever: at the first one wrappers, at the second one dockerd.

    + own: the name of this program, with its checksum at the end
    """
    for name in ("hashlib", "hmac", "ipaddress"):  # later another version of Python may be there
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: wait(2)
    asyncio.run(_serve(own))


async def _serve(own: str) -> None:
    count = int(os.environ.get("LISTEN_FDS", "1"))
    wrappers, *docker = (socket.socket(fileno=_FIRST + number) for number in range(count))
    judges = Judges(Work(partial(_converse, own), judge_request, prepare))
    wrappers.setblocking(False)
    asyncio.get_running_loop().add_reader(wrappers, _accept, wrappers, judges)
    for listener in docker:
        answering = partial(answer_docker, judges)
        await asyncio.start_unix_server(answering, sock=listener, limit=MOST, backlog=1024)
    gc.freeze()
    _notify("READY=1")
    interval_s = int(os.environ.get("WATCHDOG_USEC", "30000000")) / 3_000_000
    while True:
        await asyncio.sleep(interval_s)
        _notify("WATCHDOG=1")


def _accept(listener: socket.socket, judges: Judges) -> None:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:  # who asked has ended
        return
    except OSError:  # no descriptor is left
        time.sleep(0.01)
        return
    judges.give(connection)


def _converse(own: str, connection: socket.socket) -> None:
    """Answer the question of a wrapper."""
    if not sees_the_same(process_at(connection)):
        return
    connection.settimeout(_READ_S)
    connection.sendall(BEGUN)
    parts: list[bytes] = []
    while part := connection.recv(1 << 16):
        parts.append(part)
        if sum(map(len, parts)) > MOST:
            return
    connection.sendall(answer(b"".join(parts), own))
    connection.shutdown(socket.SHUT_WR)  # the kernel frees memory before it closes: do_exit()


def _notify(text: str) -> None:
    """Tell systemd: sdnotify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with (
        suppress(OSError),  # systemd is busy, or no descriptor is left: the next one counts
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to,
    ):
        to.settimeout(1)
        to.sendto(text.encode(), f"\0{address[1:]}" if address[0] == "@" else address)
