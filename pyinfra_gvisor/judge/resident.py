"""
The resident judge: loaded once, it answers each question in a process of its own.

A question that waits, such as for a file on a network file system that does not answer, holds up no
other one. Who gets no answer runs the same program itself, so nothing depends on this.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from pyinfra_gvisor.judge.questions import answer

BEGUN = b"begun\n"
_FIRST = 3  # the first descriptor of systemd's: sd_listen_fds(3)
_READ_S = 10
_MOST_S = 57  # a wrapper waits a little longer, and does not ask again then: ask_main.pl
_MOST = 1 << 26  # bytes of a question


def serve(own: str) -> None:
    """
    Answer the questions at systemd's socket, for ever.

    + own: the name of this program, with its checksum at the end
    """
    listener = socket.socket(fileno=_FIRST)
    interval_s = int(os.environ.get("WATCHDOG_USEC", "30000000")) / 3_000_000
    listener.settimeout(interval_s)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: wait(2)
    gc.freeze()
    notify("READY=1")
    said_s = time.monotonic()
    while True:
        _take(listener, own)
        if time.monotonic() - said_s > interval_s / 2:
            notify("WATCHDOG=1")
            said_s = time.monotonic()


def _take(listener: socket.socket, own: str) -> None:
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return
    except OSError:  # no descriptor is left
        time.sleep(0.01)
        return
    with connection:
        try:
            is_child = os.fork() == 0
        except OSError:  # no process is left: who asked runs this program itself
            return
        if is_child:
            in_child(lambda: _converse(connection, own))


def in_child(work: Callable[[], None], limit_s: int = _MOST_S) -> None:
    """Do the work and end, whatever happens: a child must never accept."""
    try:
        _be_killed_first()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.alarm(limit_s)
        work()
    finally:
        os._exit(0)


def _be_killed_first() -> None:
    """Let the kernel, if memory is short, end one question and not the judge."""
    try:
        Path("/proc/self/oom_score_adj").write_text("0", encoding="ascii")
    except OSError:
        return


def _converse(connection: socket.socket, own: str) -> None:
    if not sees_the_same(process_at(connection)):
        return
    connection.settimeout(_READ_S)
    connection.sendall(BEGUN)
    parts: list[bytes] = []
    while part := connection.recv(1 << 16):
        parts.append(part)
        if sum(map(len, parts)) > _MOST:
            return
    connection.sendall(answer(b"".join(parts), own))


def process_at(connection: socket.socket) -> int:
    """Return the process that has connected: unix(7), struct ucred."""
    given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", given)[0])


def sees_the_same(process: int) -> bool:
    """Return True if a process has the same mounts: paths mean the same to both."""
    try:
        own, other = (Path(f"/proc/{item}/ns/mnt").readlink() for item in ("self", process))
    except OSError:
        return False
    return own == other


def notify(text: str) -> None:
    """Tell systemd: sdnotify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.settimeout(1)
        try:
            to.sendto(text.encode(), f"\0{address[1:]}" if address[0] == "@" else address)
        except OSError:  # systemd is busy: the next one counts
            return
