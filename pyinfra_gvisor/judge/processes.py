"""
Processes of the resident judge, one for each question.

A question that waits, such as for a file on a network file system that does not answer, holds up no
other one. One process waits for the next question, and has judged one already: it answers in a
third of the time.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

JUDGEMENT_S = 20  # for a question of dockerd's
_CALL_S = 57  # a wrapper waits a little longer, and does not ask again then: ask_main.pl
_READY = b"+"
_PREPARE_S = 2
_SOON_S = 0.02
MOST = 1 << 26  # bytes of a question
_PART = 1 << 16
_FIRST, _LAST = 3, 1 << 14  # descriptors: LimitNOFILE of its unit
_CONNECTION = b"c"  # comes with a descriptor


@dataclass(frozen=True)
class Work:
    """
    What a process does, once.

    + converse: answer who has connected; ``judge``: answer a question
    + prepare: what a process does while there is no question, given the last one
    """

    converse: Callable[[socket.socket], None]
    judge: Callable[[bytes], bytes]
    prepare: Callable[[bytes], None]


class Judges:
    """The processes of a program that has an event loop, which forks them."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waiting: socket.socket | None = None
        self._last = b""

    def give(self, connection: socket.socket) -> None:
        """Have a process answer who has connected. If there is none, nobody answers."""
        with connection:
            judge = self._take()
            if judge is None:
                return
            with judge, suppress(OSError):
                socket.send_fds(judge, [_CONNECTION], [connection.fileno()])

    async def ask(self, question: bytes) -> bytes | None:
        """Return the answer to a question; None if there is none in time, or no process."""
        judge, self._last = self._take(), question
        if judge is None:
            return None
        reader, writer = await asyncio.open_unix_connection(sock=judge, limit=MOST)
        with suppress(OSError):
            writer.write(question)
            writer.write_eof()
        # Without wait_for: its error has another name in Python 3.10. One that hangs may not even
        # be killed.
        reading = asyncio.ensure_future(reader.read())
        await asyncio.wait({reading}, timeout=JUDGEMENT_S + 5)
        found = reading.result() if reading.done() and not reading.exception() else b""
        reading.cancel()
        writer.close()
        return found[1:] if found[:1] == b"=" else None

    def _take(self) -> socket.socket | None:
        judge, self._waiting = self._waiting, None
        # Later: a fork takes as long as a judgement.
        asyncio.get_running_loop().call_later(_SOON_S, self._have_one)
        if judge is not None:
            if _is_ready(judge):
                return judge
            judge.close()
        return self._start(self._work_once)

    def _have_one(self) -> None:
        if self._waiting is None:
            self._waiting = self._start(self._wait)

    def _start(self, work: Callable[[socket.socket], None]) -> socket.socket | None:
        try:
            own, parent = socket.socketpair()
        except OSError:  # no descriptor is left
            return None
        try:
            is_child = os.fork() == 0
        except OSError:
            own.close()
            parent.close()
            return None
        if is_child:
            _as_child(parent, work)
        parent.close()
        return own

    def _wait(self, parent: socket.socket) -> None:
        """Wait for a question, and answer. Ends without one when the program ends."""
        signal.alarm(_PREPARE_S)
        self._work.prepare(self._last)
        signal.alarm(0)
        parent.sendall(_READY)
        self._work_once(parent)

    def _work_once(self, parent: socket.socket) -> None:
        part, descriptors, _, _ = socket.recv_fds(parent, _PART, 1)
        if descriptors:
            signal.alarm(_CALL_S)
            self._work.converse(socket.socket(fileno=descriptors[0]))
            return
        parts: list[bytes] = []
        while part:
            signal.alarm(JUDGEMENT_S)
            parts.append(part)
            part = parent.recv(_PART)
        if parts:
            parent.sendall(b"=" + self._work.judge(b"".join(parts)))
            parent.shutdown(socket.SHUT_WR)  # the kernel frees memory before it closes: do_exit()


def _as_child(parent: socket.socket, work: Callable[[socket.socket], None]) -> None:
    """
    Do the work and end, whatever happens.

    A child has no descriptor of the program's but one. It would keep connections open that nobody
    answers any more, if the program ends while the child waits.
    """
    try:
        signal.set_wakeup_fd(-1)
        gc.disable()  # it would close descriptors by their old numbers
        os.closerange(_FIRST, parent.fileno())
        os.closerange(parent.fileno() + 1, _LAST)
        _be_killed_first()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        work(parent)
    finally:
        os._exit(0)


def _be_killed_first() -> None:
    """Let the kernel, if memory is short, end one question and not the judge."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(b"0")


def _is_ready(judge: socket.socket) -> bool:
    """Return True if a process waits for a question: it does not if it has ended, or hangs."""
    try:
        return judge.recv(1, socket.MSG_DONTWAIT) == _READY and not _has_ended(judge)
    except OSError:
        return False


def _has_ended(judge: socket.socket) -> bool:
    try:
        return judge.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


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
