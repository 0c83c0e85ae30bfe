"""Who answers at Docker's socket: the node's own dockerd, or another program."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Self

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.scripts import SOCKET

SYSTEMD = 1  # listens for dockerd where docker.socket is used: systemd.socket(5)

_ADD = f"add -H unix://{SOCKET} to the flags of dockerd, or unix://{SOCKET} to hosts in daemon.json"
# Sockets of dockerd that are not for clients: libnetwork's for each start, those for metrics and of
# a swarm's manager.
_INTERNAL = re.compile(r"/(libnetwork/[0-9a-f]+|metrics|swarm/control)\.sock$")


class Listener(Reading):
    """
    The process that listens at ``SOCKET``, and the sockets of dockerd for clients.

    ``pid`` is None if nothing answers there. ``sockets`` is None if they are not known: the process
    is dockerd itself, dockerd does not run, or only root may know.
    """

    pid: int | None = None
    program: str = ""
    sockets: tuple[str, ...] | None = None

    @classmethod
    def of(cls, peer: str | None, sockets: Sequence[str]) -> Self:
        """Parse what ``node/docker_state.pl`` prints. Raises ``ValueError`` if malformed."""
        pid, _, program = (peer or "").partition(" ")
        return cls(
            pid=int(pid) if pid else None,
            program=program,
            sockets=tuple(path for path in sockets if path and not _INTERNAL.search(path))
            if sockets
            else None,
        )

    def problem(self, dockerd: int | None, *, answers: bool) -> Problem | None:
        """
        Return why whoever asks Docker would ask another engine than the node's; None if not.

        + dockerd: the pid of the node's dockerd; None if it does not run
        + answers: whether Docker's API was seen to answer at ``SOCKET``
        """
        if self.sockets is not None:
            elsewhere = [path for path in self.sockets if _real(path) != _real(SOCKET)]
            here = len(elsewhere) < len(self.sockets)  # systemd hands its socket on, used or not
            if not here or (elsewhere and not answers):
                got = ", ".join(elsewhere) or "no unix socket"
                return Problem(f"dockerd does not answer at {SOCKET}", got=got, todo=_ADD)
        if dockerd is None or self.pid in (None, SYSTEMD, dockerd):
            return None
        return Problem(
            f"another program than dockerd (process {dockerd}) answers at {SOCKET}",
            got=f"{self.program} (process {self.pid})",
            todo="give this program another socket, then restart dockerd",
        )


def _real(path: str) -> str:
    """Return the path without /var/run, which is a link to /run: file-hierarchy(7)."""
    return posixpath.normpath(path).replace("/var/run/", "/run/", 1)
