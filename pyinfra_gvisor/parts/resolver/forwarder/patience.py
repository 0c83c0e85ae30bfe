"""How long Docker is waited for, and how often it is asked, before a name is said to be unknown."""

from __future__ import annotations

import asyncio
import contextlib

from pyinfra_gvisor.parts.resolver.forwarder.engine import Source
from pyinfra_gvisor.parts.resolver.forwarder.exchange import Busy
from pyinfra_gvisor.parts.resolver.forwarder.messages import is_failure, question_for, reverse
from pyinfra_gvisor.parts.resolver.forwarder.rooms import Room

# Docker answers what it knows within a millisecond or two; from what it does not know 20.10 keeps
# silent when it cannot ask outside.
PATIENCE_S = 0.3
SETTLING_TRIES, LOST_TRIES, SLOW_TRIES = 6, 1, 4
SLOW_S = 1.0
KIND_S = 2.0  # in which Docker says that it fails at a name that is nobody's: RFC 6761, 6.4
NOBODYS = question_for("pyinfra-gvisor.invalid")
FIRST = asyncio.FIRST_COMPLETED


async def again(
    source: Source, room: Room, query: bytes, asking: asyncio.Task[bytes], *, stream: bool
) -> bytes | None:
    """
    What Docker says of a name that nobody outside knows, now or if it is asked once more.

    A query to it may be lost or slow, and just behind a restart it fails for every name. Where
    it is silent about this one and not known to be silent about what it does not know, it may
    know it: raises ``asyncio.TimeoutError``.
    """
    if room.is_settling:
        return await _settled(room, query, stream=stream)
    if answered(asking):  # while others were asked
        return _known(asking)
    may_know = await _is_outspoken(source, room)
    for _ in range(SLOW_TRIES if may_know else LOST_TRIES):
        once_more = begin(room, query, stream=stream)
        waiting = {once_more} if asking.done() else {asking, once_more}
        await asyncio.wait(waiting, timeout=SLOW_S, return_when=FIRST)
        once_more.cancel()
        for task in (asking, once_more):
            if answered(task):
                return _known(task)
    if may_know:
        raise asyncio.TimeoutError
    return None


async def _settled(room: Room, query: bytes, *, stream: bool) -> bytes | None:
    for _ in range(SETTLING_TRIES):
        with contextlib.suppress(OSError, Busy, asyncio.TimeoutError):
            said = await asyncio.wait_for(room.ask(query, stream=stream), PATIENCE_S)
            if not is_failure(said):
                return said
        await asyncio.sleep(PATIENCE_S)
    return None


async def _is_outspoken(source: Source, room: Room) -> bool:
    """
    Whether Docker says of a name that is nobody's that it fails, as 20.10 does not.

    One that does not answer what it knows either is slow: that is not known of it then.
    """
    if room.is_outspoken is None:
        asked = (NOBODYS, reverse(source.address))
        nobodys, own = (begin(room, query, stream=False) for query in asked)
        try:
            await asyncio.wait({nobodys}, timeout=KIND_S)
        finally:
            for task in (nobodys, own):
                task.cancel()
        if answered(nobodys) or answered(own):
            room.is_outspoken = answered(nobodys)
    return room.is_outspoken is not False


async def hear(source: Source, room: Room, asking: asyncio.Task[bytes]) -> None:
    """
    Wait until Docker has answered, or is heard to be silent about this name.

    Docker is slow, or keeps silent about what it does not know (20.10); taken for silence,
    slowness would make the names of containers unknown. The container's own address it knows. All
    who wait hear by the same query, which has to begin when they do or later.
    """
    for _ in range(2):
        begins = room.hearing is None or room.hearing.done()
        if room.hearing is None or begins:
            room.hearing = begin(room, reverse(source.address), stream=False)
        await asyncio.wait({asking, room.hearing}, return_when=FIRST)
        if begins or asking.done():
            break
    await asyncio.wait({asking}, timeout=PATIENCE_S)


def answered(task: asyncio.Task[bytes]) -> bool:
    """Whether Docker has said something to it until now."""
    return task.done() and not task.cancelled() and not task.exception()


def _known(task: asyncio.Task[bytes]) -> bytes | None:
    """The answer; None if it is that Docker fails."""
    return None if is_failure(task.result()) else task.result()


def begin(room: Room, query: bytes, *, stream: bool) -> asyncio.Task[bytes]:
    """Ask Docker; nobody has to look at what comes of it."""
    task = asyncio.create_task(room.ask(query, stream=stream))
    task.add_done_callback(_retrieve)
    return task


def _retrieve(task: asyncio.Task[bytes]) -> None:
    if not task.cancelled():
        task.exception()
