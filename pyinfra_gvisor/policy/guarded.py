"""Paths of the node that no container should mount, and what kind of finding each is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.base.node_files import RECORDS_DIR
from pyinfra_gvisor.sandbox.verdict import GVISOR_DIR

Kind = Literal["socket", "ours", "host"]


@dataclass(frozen=True)
class Guarded:
    """
    A path of the node, and the kind of finding if a container mounts it or a directory above it.

    ``source`` says where the path is documented. ``whole`` says whether a mount of something below
    the path counts too: never, always, or only if the container can write there.
    """

    path: str
    kind: Kind
    source: str
    whole: Literal["no", "writable", "always"] = "no"


BENCH = "docker-bench-security 5.6"
HIERARCHY = "hier(7)"

RUN_BY_ROOT = (
    *("/bin", "/sbin", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib64", "/usr/local"),
    *("/etc/init.d", "/etc/crontab", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly"),
    *("/etc/cron.monthly", "/etc/profile.d"),
)
LOGINS = ("/etc/passwd", "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/pam.d", "/etc/ssh")
COOLIFYS = ("/data/coolify/ssh", "/data/coolify/source")
GUARDED = (
    Guarded("/run/docker.sock", "socket", "dockerd(8), --host"),
    Guarded("/var/run/docker.sock", "socket", "the same, by its older name"),
    # Sockets of plugins and of dockerd's own containerd, and network namespaces of containers.
    Guarded("/run/docker", "socket", "moby, --exec-root", whole="always"),
    # Sockets of containerd and its shims, and the bundles from which containers are started.
    Guarded("/run/containerd", "socket", "containerd, docs/ops.md", whole="always"),
    Guarded("/run/podman", "socket", "podman-system-service(1)", whole="always"),
    Guarded("/run/crio", "socket", "crio(8), --listen", whole="always"),
    Guarded(GVISOR_DIR, "ours", "releases, wrappers and services of the parts", whole="always"),
    Guarded(RECORDS_DIR, "ours", "records of proofs and of changes", whole="always"),
    Guarded("/run/pyinfra-gvisor", "ours", "locks and permits", whole="always"),
    Guarded("/etc/docker", "ours", "daemon.json says what a runtime starts", whole="always"),
    *(Guarded(path, "host", BENCH) for path in ("/", "/etc", "/usr")),
    *(Guarded(path, "host", BENCH, whole="always") for path in ("/boot", "/dev", "/proc", "/sys")),
    *(Guarded(path, "host", HIERARCHY) for path in ("/root", "/run", "/var")),
    # Programs that the node's root runs, and files that decide who can become root.
    *(Guarded(path, "host", BENCH, whole="writable") for path in ("/lib", "/usr/lib")),
    *(Guarded(path, "host", HIERARCHY, whole="writable") for path in RUN_BY_ROOT),
    Guarded("/etc/ld.so.preload", "host", "ld.so(8)", whole="writable"),
    *(Guarded(path, "host", "login(1), sudo(8)", whole="writable") for path in LOGINS),
    *(
        Guarded(path, "host", "Coolify's docs: its SSH keys, its .env", whole="always")
        for path in COOLIFYS
    ),
    # The node's root runs units and scheduled commands.
    Guarded("/etc/systemd", "host", "systemd.unit(5)", whole="always"),
    Guarded("/run/systemd", "host", "systemd.unit(5)", whole="always"),
    Guarded("/etc/cron.d", "host", "cron(8)", whole="always"),
    Guarded("/var/spool/cron", "host", "cron(8)", whole="always"),
    Guarded("/root/.ssh", "host", "sshd(8), AUTHORIZED_KEYS", whole="always"),
    Guarded("/var/lib/docker", "host", "dockerd(8), --data-root", whole="always"),
    Guarded("/var/lib/containerd", "host", "containerd, docs/ops.md", whole="always"),
)


def is_below(path: str, directory: str) -> bool:
    """Return True if ``path`` is ``directory`` or lies in it."""
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def elsewhere(source: str, paths: Iterable[str], roots: Collection[str]) -> list[str]:
    """
    Return the paths of a mount's source that lie outside the place where Docker keeps the source.

    + source: Docker's path of a volume or of an image's layer, which containers may mount
    + paths: all paths by which the node knows the source
    + roots: all paths of Docker's data directory
    """
    own = {source, *_moved(source, roots)}
    return [path for path in paths if path not in own]


def _moved(source: str, roots: Collection[str]) -> Iterator[str]:
    for root in roots:
        if is_below(source, root):
            yield from (f"{other}{source.removeprefix(root)}" for other in roots)


def given_away(
    paths: Iterable[str],
    guarded: Iterable[tuple[Guarded, Iterable[str]]],
    *,
    writable: bool,
) -> Iterator[tuple[Guarded, str]]:
    """
    Yield each guarded path that a mount opens, with the path of the mount that opens it.

    + paths: all paths by which the node knows the mount's source
    + guarded: guarded paths, each with all paths by which the node knows it
    + writable: whether the container can write to the mount
    """
    mounted = list(paths)
    for item, places in guarded:
        whole = item.whole == "always" or (item.whole == "writable" and writable)
        for path in mounted:
            above = any(is_below(place, path) for place in places)
            if above or (whole and any(is_below(path, place) for place in places)):
                yield item, path
                break
