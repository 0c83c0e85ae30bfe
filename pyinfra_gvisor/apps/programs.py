"""Programs that were seen to fail in gVisor, for reasons that no look from outside shows."""

from __future__ import annotations

from typing import Final, NamedTuple


class Program(NamedTuple):
    """
    A program, by the name of its process.

    + does: what gVisor refuses
    + todo: what to do, as an imperative
    + network: it fails only with this network of its runtime; None: with each
    """

    does: str
    todo: str
    network: str | None = None


# Tried with Debian 13's packages on a lab build of runsc 20260905.0, Docker 26.1, 2026-12-03.
PROGRAMS: Final = {
    "smbd": Program(
        "it receives with MSG_NOSIGNAL", 'use "network": "sandbox", "dns": "docker"', "host"
    ),
    "dnsmasq": Program("it waits for changes of the network by netlink", "run it on the node"),
    "avahi-daemon": Program("it waits for changes of the network by netlink", "run it on the node"),
    "supervisord": Program(
        "it names its control socket by a hard link", "mount a tmpfs where the socket is"
    ),
}
