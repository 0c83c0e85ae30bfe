"""
What it takes for a change of each daemon.json key to come into force.

RELOAD: applied by SIGHUP ("Configuration reload behavior" in dockerd's reference, and moby's
``daemon/reload.go``; every row tried on Docker 26.1.5). RESTART: SIGHUP ignores it silently.
A key that is in no table is treated as RESTART.
"""

from __future__ import annotations

from enum import IntEnum

from pyinfra_gvisor.json_text import Json, Path


class Force(IntEnum):
    """What a change needs, the stronger the greater."""

    NOTHING = 0
    RELOAD = 1
    RESTART = 2


# https://docs.docker.com/reference/cli/dockerd/#configuration-reload-behavior
RELOADABLE = frozenset(
    {
        "allow-nondistributable-artifacts",
        "authorization-plugins",
        "debug",
        "default-cgroupns-mode",
        "default-ipc-mode",
        "default-runtime",
        "default-shm-size",
        "features",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "network-diagnostic-port",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)

# "Default options, only for new containers": https://docs.docker.com/engine/logging/configure/
RECREATE = frozenset(
    {"default-runtime", "default-shm-size", "default-ulimits", "log-driver", "log-opts"}
)

# Leaving these out and reloading keeps the old value live (tried on 26.1.5); writing the neutral
# value first does not.
NEUTRAL: dict[str, Json] = {
    "debug": False,
    "default-runtime": "runc",
    "insecure-registries": [],
    "labels": [],
    "live-restore": False,
    "registry-mirrors": [],
    "runtimes": {},
}


def force_of(path: Path) -> Force:
    """What a change of the value at ``path`` needs to come into force."""
    return Force.RELOAD if path[0] in RELOADABLE else Force.RESTART


def only_new_containers(path: Path) -> bool:
    """Whether containers that exist keep the old value until they are made anew."""
    return path[0] in RECREATE
