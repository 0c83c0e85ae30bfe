"""Paths of the node that no container is to be given, one a row, with what they open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.node import STATE_DIR
from pyinfra_gvisor.sandbox.verdict import GVISOR_DIR

Kind = Literal["socket", "ours", "host"]


@dataclass(frozen=True)
class Guarded:
    """
    A path, what kind of finding a mount of the path or of a directory above is, and the source.

    ``whole``: so is a mount of anything below.
    """

    path: str
    kind: Kind
    source: str
    whole: bool = False


BENCH = "docker-bench-security 5.6"
HIERARCHY = "hier(7)"

GUARDED = (
    Guarded("/run/docker.sock", "socket", "dockerd(8), --host"),
    Guarded("/var/run/docker.sock", "socket", "the same by its older name"),
    # Sockets of plugins, of dockerd's own containerd, and the network namespaces of containers.
    Guarded("/run/docker", "socket", "moby, --exec-root", whole=True),
    # Sockets of containerd and its shims, and the bundles from which containers are started.
    Guarded("/run/containerd", "socket", "containerd, docs/ops.md", whole=True),
    Guarded("/run/podman", "socket", "podman-system-service(1)", whole=True),
    Guarded("/run/crio", "socket", "crio(8), --listen", whole=True),
    Guarded(GVISOR_DIR, "ours", "releases, wrappers and services of the parts", whole=True),
    Guarded(STATE_DIR, "ours", "what was proven and what is to be undone", whole=True),
    Guarded("/run/pyinfra-gvisor", "ours", "locks and permits", whole=True),
    Guarded("/etc/docker", "ours", "daemon.json says what a runtime starts", whole=True),
    *(Guarded(path, "host", BENCH) for path in ("/", "/etc", "/lib", "/usr")),
    *(Guarded(path, "host", BENCH, whole=True) for path in ("/boot", "/dev", "/proc", "/sys")),
    *(Guarded(path, "host", HIERARCHY) for path in ("/bin", "/sbin", "/root", "/run", "/var")),
    # Units and timed commands are run as the node's root.
    Guarded("/etc/systemd", "host", "systemd.unit(5)", whole=True),
    Guarded("/run/systemd", "host", "systemd.unit(5)", whole=True),
    Guarded("/etc/cron.d", "host", "cron(8)", whole=True),
    Guarded("/var/spool/cron", "host", "cron(8)", whole=True),
    Guarded("/root/.ssh", "host", "sshd(8), AUTHORIZED_KEYS", whole=True),
    Guarded("/var/lib/docker", "host", "dockerd(8), --data-root", whole=True),
    Guarded("/var/lib/containerd", "host", "containerd, docs/ops.md", whole=True),
)


def is_below(path: str, directory: str) -> bool:
    """Return True if ``path`` is ``directory`` or lies in it."""
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def is_volume(path: str, root: str) -> bool:
    """
    Return True if ``path`` belongs to one volume, which is a container's to have.

    + root: Docker's data directory
    """
    parts = path.removeprefix(root).split("/")
    return is_below(path, root) and parts[1:2] == ["volumes"] and parts[3:4] == ["_data"]


def given_away(
    paths: Iterable[str], guarded: Iterable[tuple[Guarded, Iterable[str]]], roots: Iterable[str]
) -> Iterator[tuple[Guarded, str]]:
    """
    Yield what of the guarded paths a mount gives away, with the path of the mount that does.

    + paths: by which the node knows the mount's source
    + guarded: each with all paths by which the node knows it
    + roots: data directories of Docker, whose volumes are no finding
    """
    mounted = [path for path in paths if not any(is_volume(path, root) for root in roots)]
    for item, places in guarded:
        for path in mounted:
            above = any(is_below(place, path) for place in places)
            if above or (item.whole and any(is_below(path, place) for place in places)):
                yield item, path
                break
