"""Paths of the node that no container is to be given, one a row, with what they open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.node import STATE_DIR
from pyinfra_gvisor.sandbox.verdict import GVISOR_DIR

Kind = Literal["socket", "ours", "host"]


@dataclass(frozen=True)
class Guarded:
    """
    A path, what kind of finding a mount of the path or of a directory above is, and the source.

    ``whole``: so is a mount of anything below, always, or if the container may write there.
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
    Guarded("/var/run/docker.sock", "socket", "the same by its older name"),
    # Sockets of plugins, of dockerd's own containerd, and the network namespaces of containers.
    Guarded("/run/docker", "socket", "moby, --exec-root", whole="always"),
    # Sockets of containerd and its shims, and the bundles from which containers are started.
    Guarded("/run/containerd", "socket", "containerd, docs/ops.md", whole="always"),
    Guarded("/run/podman", "socket", "podman-system-service(1)", whole="always"),
    Guarded("/run/crio", "socket", "crio(8), --listen", whole="always"),
    Guarded(GVISOR_DIR, "ours", "releases, wrappers and services of the parts", whole="always"),
    Guarded(STATE_DIR, "ours", "what was proven and what is to be undone", whole="always"),
    Guarded("/run/pyinfra-gvisor", "ours", "locks and permits", whole="always"),
    Guarded("/etc/docker", "ours", "daemon.json says what a runtime starts", whole="always"),
    *(Guarded(path, "host", BENCH) for path in ("/", "/etc", "/usr")),
    *(Guarded(path, "host", BENCH, whole="always") for path in ("/boot", "/dev", "/proc", "/sys")),
    *(Guarded(path, "host", HIERARCHY) for path in ("/root", "/run", "/var")),
    # What the node's root runs next, and who may become root.
    *(Guarded(path, "host", BENCH, whole="writable") for path in ("/lib", "/usr/lib")),
    *(Guarded(path, "host", HIERARCHY, whole="writable") for path in RUN_BY_ROOT),
    Guarded("/etc/ld.so.preload", "host", "ld.so(8)", whole="writable"),
    *(Guarded(path, "host", "login(1), sudo(8)", whole="writable") for path in LOGINS),
    *(
        Guarded(path, "host", "docs of Coolify: its keys, its .env", whole="always")
        for path in COOLIFYS
    ),
    # Units and timed commands are run as the node's root.
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
    Return by which paths what a container mounts lies in other places than Docker put it.

    + source: where Docker has a volume or a layer of an image, which are a container's to have
    + paths: by which the node knows the same
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
    Yield what of the guarded paths a mount gives away, with the path of the mount that does.

    + paths: by which the node knows the mount's source
    + guarded: each with all paths by which the node knows it
    """
    mounted = list(paths)
    for item, places in guarded:
        whole = item.whole == "always" or (item.whole == "writable" and writable)
        for path in mounted:
            above = any(is_below(place, path) for place in places)
            if above or (whole and any(is_below(path, place) for place in places)):
                yield item, path
                break
