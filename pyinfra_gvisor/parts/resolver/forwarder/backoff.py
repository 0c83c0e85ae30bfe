"""Decide how long to wait for Docker, and how often to query it, before a name is unknown."""

from __future__ import annotations

import asyncio

from pyinfra_gvisor.parts.resolver.forwarder.engine import Source
from pyinfra_gvisor.parts.resolver.forwarder.messages import is_failure, question_for, reverse
from pyinfra_gvisor.parts.resolver.forwarder.sessions import NamespaceSession

# Docker answers names that it knows within 1 to 2 ms. For other names, Docker 20.10 does not answer
# at all if it cannot reach a resolver outside.
PATIENCE_S = 0.3
LOST_TRIES, SLOW_TRIES = 1, 4
SLOW_S = 1.0
KIND_S = 2.0  # within this time Docker answers SERVFAIL for NOBODYS; 20.10 does not
NOBODYS = question_for("pyinfra-gvisor.invalid")  # exists nowhere: RFC 6761, 6.4
FIRST = asyncio.FIRST_COMPLETED


async def again(
    source: Source,
    session: NamespaceSession,
    query: bytes,
    asking: asyncio.Task[bytes],
    *,
    stream: bool,
) -> bytes | None:
    """
    Return Docker's answer for a name that no upstream resolver knows, querying it again if needed.

    A query to Docker may be lost or slow. None if Docker does not know the name. Raises
    ``asyncio.TimeoutError`` if Docker does not answer but may know the name.
    """
    if answered(asking):  # Docker has answered while upstream was queried.
        return _known(asking)
    if session.is_settling:  # It is queried again once it knows all containers.
        return None
    may_know = await _is_outspoken(source, session)
    for _ in range(SLOW_TRIES if may_know else LOST_TRIES):
        once_more = begin(session, query, stream=stream)
        waiting = {once_more} if asking.done() else {asking, once_more}
        await asyncio.wait(waiting, timeout=SLOW_S, return_when=FIRST)
        once_more.cancel()
        for task in (asking, once_more):
            if answered(task):
                return _known(task)
    if may_know:
        raise asyncio.TimeoutError
    return None


async def _is_outspoken(source: Source, session: NamespaceSession) -> bool:
    """
    Return True unless Docker is known to keep silent about unknown names, as 20.10 does.

    If Docker does not even answer for the container's own address, it is slow. Then nothing is
    learned, and True is returned.
    """
    if session.is_outspoken is None:
        asked = (NOBODYS, reverse(source.address))
        nobodys, own = (begin(session, query, stream=False) for query in asked)
        try:
            await asyncio.wait({nobodys}, timeout=KIND_S)
        finally:
            for task in (nobodys, own):
                task.cancel()
        if answered(nobodys) or answered(own):
            session.is_outspoken = answered(nobodys)
    return session.is_outspoken is not False


async def hear(source: Source, session: NamespaceSession, asking: asyncio.Task[bytes]) -> None:
    """
    Wait until Docker has answered this query, or has shown that it will not.

    Without an answer, Docker is slow, or silent because it does not know the name (20.10). If
    slowness were taken for silence, names of containers would be unknown. So a second query asks
    for the container's own address, which Docker knows: once that is answered, the first one is
    taken for silent. All waiting queries share the second query, which must not be older than they.
    """
    for _ in range(2):
        begins = session.hearing is None or session.hearing.done()
        if session.hearing is None or begins:
            session.hearing = begin(session, reverse(source.address), stream=False)
        await asyncio.wait({asking, session.hearing}, return_when=FIRST)
        if begins or asking.done():
            break
    await asyncio.wait({asking}, timeout=PATIENCE_S)


def answered(task: asyncio.Task[bytes]) -> bool:
    """Return True if Docker has answered this query."""
    return task.done() and not task.cancelled() and not task.exception()


def _known(task: asyncio.Task[bytes]) -> bytes | None:
    """Return the answer; None if it is SERVFAIL or REFUSED."""
    return None if is_failure(task.result()) else task.result()


def begin(session: NamespaceSession, query: bytes, *, stream: bool) -> asyncio.Task[bytes]:
    """Start a query to Docker. The task's result may be ignored."""
    task = asyncio.create_task(session.ask(query, stream=stream))
    task.add_done_callback(_retrieve)
    return task


def _retrieve(task: asyncio.Task[bytes]) -> None:
    if not task.cancelled():
        task.exception()
