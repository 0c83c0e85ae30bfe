"""Rules about the mounts of a container. The paths that count are in ``guarded.py``."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.listening import sockets
from pyinfra_gvisor.audit.observed import Mounted
from pyinfra_gvisor.audit.rules import Audited, Observation, Rule, Running
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.guarded import GUARDED, Guarded, Kind, elsewhere, given_away, is_below
from pyinfra_gvisor.sandbox.verdict import GVISOR_DIR


def guarded(host: Audited) -> list[tuple[Guarded, tuple[str, ...]]]:
    """Return each guarded path with all paths by which the node knows it."""
    known = host.observed.places
    root = _root(host)
    of_docker = [
        Guarded(root, "host", "docker info, DockerRootDir", whole="always"),
        *(Guarded(path, "socket", "dockerd(8), --host") for path in sockets(host.node)),
    ]
    everything = {item.path: item for item in (*of_docker, *GUARDED)}.values()
    return [(item, (item.path, *known.get(item.path, ()))) for item in everything]


def _root(host: Audited) -> str:
    info = host.node.info
    return info.root_dir if info else "/var/lib/docker"


def roots(host: Audited) -> tuple[str, ...]:
    """Return all paths of Docker's data directory."""
    root = _root(host)
    return ("/var/lib/docker", root, *host.observed.places.get(root, ()))


def _given(running: Running, kind: Kind) -> list[tuple[Mounted, str]]:
    """Return the mounts that open guarded paths of ``kind``, each with its description."""
    of_docker = roots(running.host)
    wanted = [(item, places) for item, places in guarded(running.host) if item.kind == kind]
    found = []
    for mount in running.given.mounts:
        is_own = mount.kind in ("volume", "image")
        paths = elsewhere(mount.source, mount.paths, of_docker) if is_own else mount.paths
        hits = list(given_away(paths, wanted, writable=mount.writable))
        if hits:
            found.append((mount, described(mount, hits)))
    return found


def described(mount: Mounted, hits: list[tuple[Guarded, str]]) -> str:
    """Describe a mount: its source, and which guarded path that is or contains if not obvious."""
    source = mount.paths[0]
    item, path = hits[0]
    alias = all(path != source for _, path in hits)
    holds = path != item.path and is_below(item.path, path)
    told = [f"is {cut(path)}"] if alias else []
    told += [f"holds {item.path}"] if holds else []
    return f"{cut(source)} ({', '.join(told)})" if told else cut(source)


def _docker_socket(running: Running) -> Iterator[Observation]:
    if found := _given(running, "socket"):
        how = "seen in gVisor" if running.sandboxed else "not seen in gVisor"
        worse = None if running.sandboxed else Severity.CRITICAL
        words = ", ".join(words for _, words in found)
        yield running.seen(f"mounted: {words}; the container was {how}", worse)


def _host_path(running: Running) -> Iterator[Observation]:
    if found := _given(running, "host"):
        yield running.seen(f"mounted: {', '.join(words for _, words in found)}")


def _ours(running: Running) -> Iterator[Observation]:
    """Report mounts of our files; a writable one is worse: it decides what the node's root runs."""
    if found := _given(running, "ours"):
        writable = any(mount.writable for mount, _ in found)
        words = ", ".join(f"{words}{'' if mount.writable else ' (ro)'}" for mount, words in found)
        yield running.seen(f"mounted: {words}", Severity.CRITICAL if writable else None)


MOUNT_RULES: tuple[Rule[Running], ...] = (
    Rule(
        "container-docker-socket",
        Severity.HIGH,
        "Mounts the socket of a container engine, which makes the container root on the node",
        "Recreate the container without this mount",
        _docker_socket,
        cis="5.32",
    ),
    Rule(
        "container-host-path",
        Severity.HIGH,
        "Mounts a directory of the node that is not for containers",
        "Recreate the container without this mount, or mount a directory made for it",
        _host_path,
        cis="5.6",
    ),
    Rule(
        "container-gvisor-path",
        Severity.HIGH,
        f"Mounts files of {GVISOR_DIR}, our records or /etc/docker. If it can write there, it is "
        "root on the node",
        "Recreate the container without this mount, or mount a directory made for it",
        _ours,
        cis="5.6",
    ),
)
