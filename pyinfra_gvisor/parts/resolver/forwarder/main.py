"""Answer DNS queries of sandboxes on sockets from systemd, in one thread; write metrics."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from pyinfra_gvisor.parts.resolver.forwarder import counters
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.engine import SOCKET, Engine
from pyinfra_gvisor.parts.resolver.forwarder.forwarder import Forwarder
from pyinfra_gvisor.parts.resolver.forwarder.messages import MOST_QUERY_BYTES
from pyinfra_gvisor.parts.resolver.forwarder.neighbours import Neighbours
from pyinfra_gvisor.parts.resolver.forwarder.sessions import NamespaceSessions
from pyinfra_gvisor.parts.resolver.forwarder.upstream import RESOLV_CONF, Upstream

FIRST_SOCKET = 3  # sd_listen_fds(3)
BACKLOG = 1024  # as in the socket unit
COUNT_EVERY_S = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Return 0, or 64 if systemd passed no sockets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docker", default=SOCKET, help="Docker's socket")
    parser.add_argument(
        "--resolv-conf", type=Path, default=RESOLV_CONF, help="file with the node's resolvers"
    )
    parser.add_argument(
        "--resolver", action="append", default=[], help="a resolver of dockerd's dns"
    )
    parser.add_argument("--textfile", type=Path, help="file for the metrics")
    given = parser.parse_args(arguments)
    sockets = from_systemd()
    if not sockets:
        sys.stderr.write("no sockets were passed: start this program by its systemd socket unit\n")
        return 64
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one per namespace and per query
    asyncio.run(_run(given, sockets))
    return 0


def from_systemd() -> list[socket.socket]:
    """Return the sockets that systemd passed to this process: sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    number = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=FIRST_SOCKET + at) for at in range(number)]


def tell_systemd() -> None:
    """Tell systemd that queries are answered from now on: sd_notify(3)."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
            telling.sendto(b"READY=1", f"\0{path[1:]}" if path.startswith("@") else path)


async def _run(given: argparse.Namespace, sockets: Sequence[socket.socket]) -> None:
    diagnostics = Diagnostics()
    sessions = NamespaceSessions(Engine(given.docker), Neighbours(diagnostics), diagnostics)
    upstream = Upstream(given.resolver, resolv_conf=given.resolv_conf)
    forwarder = Forwarder(sessions, upstream, counters.Counters(), diagnostics)
    for opened in sockets:
        if opened.type == socket.SOCK_DGRAM:
            forwarder.listen(opened)
        else:
            # This calls listen() again, so the backlog given here counts.
            await asyncio.start_server(
                forwarder.serve, sock=opened, backlog=BACKLOG, limit=MOST_QUERY_BYTES
            )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    jobs = [asyncio.create_task(sessions.follow()), asyncio.create_task(sessions.sweep())]
    if given.textfile is not None:
        jobs.append(asyncio.create_task(_count(given.textfile, forwarder, sessions)))
    waiting = asyncio.create_task(ended.wait())
    tell_systemd()
    done, _ = await asyncio.wait({*jobs, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for job in done - {waiting}:
        job.result()  # Jobs end only by an error, which is raised here.
    sessions.close()


async def _count(path: Path, forwarder: Forwarder, sessions: NamespaceSessions) -> None:
    while True:
        text = forwarder.counters.text(
            namespaces=sessions.open, waiting=forwarder.waiting, sources=sessions.sources
        )
        try:
            counters.write(path, text)
        except OSError as error:
            sys.stderr.write(f"{path}: {error}\n")
        await asyncio.sleep(COUNT_EVERY_S)
