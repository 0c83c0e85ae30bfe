"""
Which mounts a sandbox may not have.

gVisor passes reads and writes on to the node, so mounts are judged by what they are on the node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from pyinfra_gvisor.judge.asked import Asked
from pyinfra_gvisor.judge.container import Mount
from pyinfra_gvisor.judge.docker_files import Undecided, read_text
from pyinfra_gvisor.judge.links import follows_links
from pyinfra_gvisor.judge.places import below, future, real

# The node connects to the network.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs"}
FOREIGN = frozenset({"tmpfs", *_NETWORK})
"""File systems of volumes that hold none of the node's own files."""
_ID = re.compile("[0-9a-f]{64}")  # of a container, and the name of a volume without one
_SHM = "/dev/shm"  # noqa: S108 - in containers
_INIT = "/sbin/docker-init"


def refused_mounts(asked: Asked) -> tuple[list[str], tuple[str, ...]]:
    """
    Return what is refused of the mounts, and the addresses of the node's files among the others.

    The addresses are empty if there are no such files.
    """
    judged = _Mounts(asked)
    kept = _kept_volumes(asked)
    found: list[str] = []
    addresses: list[str] = []
    has_binds = False
    for to, source, point in _mounted(asked):
        path = real(source)  # once: a container may replace the file meanwhile
        if path is None and asked.spec is None and point and not point.is_volume:
            path = future(source)  # dockerd makes a directory that is missing
        if point is None:
            if not _is_dockers_own(asked, to, source):
                found.append(f"mount of {source} on {to}")
            continue
        why = " (a volume to which infrastructure writes)"
        if point.name not in kept:
            why = judged.why_not(point, source, path)
        if why:
            found.append(f"mount of {source} on {to}{why}")
        elif path is not None:
            addresses += filter(None, [asked.places.address(path)])
            has_binds = has_binds or point.kind not in ("volume", "image")
    return found, tuple(addresses) if has_binds else ()


def _mounted(asked: Asked) -> Iterator[tuple[str, str, Mount | None]]:
    """Return destination and source of each bind mount, by the specification if there is one."""
    mounts = asked.container.mounts
    if asked.spec is None:
        yield from ((point.destination, point.source, point) for point in mounts)
        return
    points = {point.destination: point for point in mounts}
    for item in asked.spec.get("mounts") or ():
        options = item.get("options") or ()
        if item.get("type") == "bind" or "bind" in options or "rbind" in options:
            yield item["destination"], item["source"], points.get(item["destination"])


def _is_dockers_own(asked: Asked, to: str, source: str) -> bool:
    """Return True if Docker mounts this by itself. The container has no such mount point."""
    own, host = f"{asked.root}/containers", asked.host
    if source.startswith(f"{own}/{asked.container.id}/") and ".." not in source.split("/"):
        return True
    shared = {f"/etc/{name}": name for name in ("resolv.conf", "hosts", "hostname")}
    found = re.fullmatch(f"{re.escape(own)}/{_ID.pattern}/(.*)", source, re.DOTALL)
    # with the container whose namespaces it has
    if found and found[1] == {**shared, _SHM: "mounts/shm"}.get(to):
        return True
    if to == _INIT and host.get("Init") is not False:  # unset: as daemon.json says
        return True
    # files of the driver: a CDI specification
    return asked.seal["devices"] == "allow" and bool(host.get("DeviceRequests"))


class _Mounts:
    """The mounts of one container, and what is allowed."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.places = asked, asked.places
        self.volumes = real(f"{asked.root}/volumes") or f"{asked.root}/volumes"

    @cached_property
    def allowed(self) -> list[str]:
        """Return the paths in which a container may mount files, also without links."""
        given = self.asked.seal["binds"]
        return [place for path in given for place in (path, real(path) or path)]

    def why_not(self, point: Mount, source: str, path: str | None) -> str:
        """Return "" if a mount is allowed, or more about why it is not."""
        if point.kind in ("tmpfs", "image"):
            return ""
        if self.asked.spec is None and (why := self._why_not_made(point, path)):
            return why
        places = self.places.same_as(path) if path is not None else ()
        if path is not None and not point.writable and self._is_public(path):
            return ""
        if any(map(self._is_allowed, places)):
            return ""
        if point.is_volume:
            return self._why_not_volume(point, path, places)
        return _of_the_node(source, places) if places else " (not found)"

    def _why_not_made(self, point: Mount, path: str | None) -> str:
        """
        Return why dockerd must not make a container with such a volume.

        It copies files of the image there, and follows links if the kernel does.
        """
        if point.options.get("MountType") == "tmpfs":  # could be made while a container is
            return " (a volume of type tmpfs: use --tmpfs instead)"
        if not (point.is_volume and point.copies):
            return ""
        is_other = bool(point.options) or point.driver not in ("", "local")
        if not is_other and path is not None:
            is_other = follows_links(path) and not follows_links(self.volumes)
        what = " (dockerd would follow symbolic links there: add the volume option nocopy)"
        return what if is_other else ""

    def _is_public(self, path: str) -> bool:
        """Return True for the time zone: a file, as Docker makes a directory of what is missing."""
        return Path(path).is_file() and any(real(item) == path for item in self.asked.paths.public)

    def _why_not_volume(self, point: Mount, path: str | None, places: tuple[str, ...]) -> str:
        """
        Return the same of a volume.

        It may have its own files, or those of another computer. By its options it can be any
        directory of the node.
        """
        on = self.places.mount_of(path) if path is not None else None
        kind = on.kind if on else ""
        is_local = point.driver in ("", "local")
        network = (point.options.get("MountType") or "") if is_local else kind
        if network in _NETWORK and self.asked.seal["network_volumes"] == "refuse":
            return " (network file system)"
        elsewhere = (item for item in places if item != path and below(item, self.volumes) is None)
        is_foreign = kind in FOREIGN and not any(elsewhere)
        if not is_local:  # a plugin mounts the volume where it wants to
            if self.asked.spec is None and kind == "":
                return "" if self.asked.seal["network_volumes"] == "allow" else " (plugin)"
            what = f" (the volume of driver {point.driver} holds files of the node)"
            return "" if is_foreign else what
        own = real(f"{self.volumes}/{point.name}") if point.name else None
        if own is None and not point.options:  # Docker will create it
            return _of_the_node("", places) if path is not None else ""
        if own is None:
            is_fine = self._will_be_foreign(point.options)
            return "" if is_fine else " (the volume would hold files of the node)"
        if self._is_fine(point, own, places, is_foreign=is_foreign):
            return ""
        return " (the volume holds files of the node)"

    def _is_fine(
        self, point: Mount, own: str, places: tuple[str, ...], *, is_foreign: bool
    ) -> bool:
        data = real(f"{own}/_data")
        on = self.places.mount_of(data) if data is not None else None
        if on and below(on.point, own) is not None:
            return is_foreign
        if point.options:
            return self._will_be_foreign(point.options)
        return any(below(place, own) is not None for place in places)

    def _will_be_foreign(self, options: Mapping[str, str]) -> bool:
        """Return True if a volume has none of the node's files when Docker has mounted it."""
        if not re.search(r"\br?bind\b", options.get("MountOpts") or ""):
            return options.get("MountType") in FOREIGN
        path = real(options["MountDevice"])
        return path is not None and any(map(self._is_allowed, self.places.same_as(path)))

    def _is_allowed(self, path: str) -> bool:
        """
        Return True if a path is in an allowed directory.

        What the options of a volume mount on a volume's directory is not allowed because a
        directory above that is.
        """
        volumes = self.volumes
        on = self.places.mount_of(path) if below(path, volumes) is not None else None
        is_mounted = on is not None and on.point != volumes and below(on.point, volumes) is not None
        return any(
            below(path, place) is not None
            and not (is_mounted and place != "/" and below(volumes, place) is not None)
            for place in self.allowed
        )


def _of_the_node(source: str, places: tuple[str, ...]) -> str:
    other = next((place for place in places if place != source), None)
    return f" (which is {other})" if other is not None else " (directory of the node)"


def _kept_volumes(asked: Asked) -> set[str]:
    """
    Return the names of volumes to which infrastructure writes.

    These are those in the policy, and those without a name that a container of infrastructure has,
    too.
    """
    entries = asked.policy["entries"] if asked.policy else ()
    mounts = [item for entry in entries for item in (*entry["mounts"], *entry["optional_mounts"])]
    named = (re.fullmatch("volume=([^:]+):.*:rw", item, re.DOTALL) for item in mounts)
    kept = {found[1] for found in named if found}
    nameless = {item.name for item in asked.container.mounts if _ID.fullmatch(item.name)}
    if not mounts or not nameless:
        return kept
    directory = Path(asked.root, "containers")
    try:
        listed = [path for path in directory.iterdir() if _ID.fullmatch(path.name)]
    except OSError as error:
        raise Undecided(f"cannot read {directory}: {error.strerror}") from None
    others = (path for path in listed if path.name != asked.container.id)
    return kept.union(*(_written(asked, path, nameless) for path in others))


def _written(asked: Asked, directory: Path, names: set[str]) -> set[str]:
    try:
        text = read_text(f"{directory}/config.v2.json")
    except Undecided:  # removed meanwhile
        return set()
    shared = {name for name in names if name in text}
    other = asked.infrastructure(directory.name) if shared else None
    return shared & {item.name for item in other.mounts if item.writable} if other else set()
