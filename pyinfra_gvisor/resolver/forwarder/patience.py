"""How long Docker is waited for, and how often it is asked, before a name is said to be unknown."""

from __future__ import annotations

import asyncio
import contextlib

from pyinfra_gvisor.resolver.forwarder.engine import Source
from pyinfra_gvisor.resolver.forwarder.exchange import Busy
from pyinfra_gvisor.resolver.forwarder.messages import is_failure, question_for, reverse
from pyinfra_gvisor.resolver.forwarder.rooms import Room

# Docker answers what it knows within a millisecond or two; from what it does not know 20.10 keeps
# silent when it cannot ask outside.
PATIENCE_S = 0.3
SETTLING_TRIES, LOST_TRIES, SLOW_TRIES = 6, 1, 4
SLOW_S = 1.0
KIND_S = 2.0  # in which Docker says that it fails at a name that is nobody's: RFC 6761, 6.4
NOBODYS = question_for("pyinfra-gvisor.invalid")
FIRST = asyncio.FIRST_COMPLETED


async def again(
    room: Room, query: bytes, asking: asyncio.Task[bytes], *, stream: bool
) -> bytes | None:
    """
    What Docker says of a name that nobody outside knows, if it is asked once more.

    A query to it may be lost or slow, and just behind a restart it fails for every name. Where
    it says of names that it fails and is silent about this one, it may know it: raises
    ``asyncio.TimeoutError``.
    """
    if room.is_settling:
        return await _settled(room, query, stream=stream)
    if asking.done() and not asking.exception():
        return None
    tries = SLOW_TRIES if await _is_outspoken(room) else LOST_TRIES
    for _ in range(tries):
        once_more = asyncio.create_task(room.ask(query, stream=stream))
        once_more.add_done_callback(retrieved)
        waiting = {once_more} if asking.done() else {asking, once_more}
        done, _ = await asyncio.wait(waiting, timeout=SLOW_S, return_when=FIRST)
        once_more.cancel()
        for task in done:
            if not task.exception():
                return None if is_failure(task.result()) else task.result()
    if room.is_outspoken:
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


async def _is_outspoken(room: Room) -> bool:
    """Whether Docker says of a name that is nobody's that it fails, as 20.10 does not."""
    if room.is_outspoken is None:
        try:
            await asyncio.wait_for(room.ask(NOBODYS, stream=False), KIND_S)
            room.is_outspoken = True
        except (OSError, Busy, asyncio.TimeoutError):
            room.is_outspoken = False
    return room.is_outspoken


async def hear(source: Source, room: Room, asking: asyncio.Task[bytes]) -> None:
    """
    Wait until Docker has answered, or is heard to be silent about this name.

    Docker is slow, or keeps silent about what it does not know (20.10); taken for silence,
    slowness would make the names of containers unknown. The container's own address it knows.
    """
    knowing = asyncio.create_task(room.ask(reverse(source.address), stream=False))
    knowing.add_done_callback(retrieved)
    try:
        await asyncio.wait({asking, knowing}, return_when=FIRST)
        await asyncio.wait({asking}, timeout=PATIENCE_S)
    finally:
        knowing.cancel()


def retrieved(task: asyncio.Task[bytes]) -> None:
    """Nobody has to look at what came of it."""
    if not task.cancelled():
        task.exception()
