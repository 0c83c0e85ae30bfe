"""Nodes that are containers of this machine's Docker."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from tools.lab import recipe
from tools.lab.command import Ran, run
from tools.lab.image import ensure_image
from tools.lab.make import free_port
from tools.lab.makers import Found, Home
from tools.lab.node import SSH_PORT, SSH_USER, Files, LabNode
from tools.lab.packing import packed
from tools.lab.spec import LabError, NodeSpec

REMOVE_TIMEOUT_S = 30
START_ATTEMPTS = 4

_TMPFS = {
    "/run": "mode=755,exec",
    "/run/lock": "mode=1777",
    "/tmp": "mode=1777,exec",  # noqa: S108  (a path in the node)
}


@dataclass(frozen=True)
class Containers(Home):
    """Nodes that are containers, found by their label: see ``makers.Maker``."""

    def ensure(self, spec: NodeSpec) -> None:
        ensure_image(spec.flavour, client=self.client, cache=self.cache, tell=self.tell)

    def find(self, name: str) -> Found | None:
        container = self._container(name)
        if container is None:
            return None
        label = container.labels.get(recipe.SPEC_LABEL, "")
        return Found(label, str(container.id), published_port(container), container.status)

    def node(self, name: str, spec: NodeSpec) -> ContainerNode:
        container = self.client.containers.get(name)
        return ContainerNode(
            name=name,
            spec=spec,
            ssh_port=published_port(container),
            key=self.cache.key,
            known_hosts=self.cache.known_hosts(self.lab),
            container=container,
        )

    def make(self, name: str, spec: NodeSpec, files: Files) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            self.remove(name)
            container = self._created(name, spec)
            put_files(container, files)
            try:
                container.start()
                break
            except APIError as error:  # such as a port that another process has taken meanwhile
                if attempt == START_ATTEMPTS:
                    raise LabError(f"lab: {name}: does not start", because=error) from error

    def remove(self, name: str) -> None:
        until_gone(lambda: self.client.containers.get(name).remove(force=True, v=True), name)
        for volume in volumes_of(name):
            self._remove_volume(volume)

    def remove_all(self, lab: str | None) -> None:
        label = recipe.LABEL if lab is None else f"{recipe.LABEL}={lab}"
        for container in self._containers(label):
            self.tell(f"removing {container.name}")
            self.remove(str(container.name))
        for volume in self.client.volumes.list(filters={"label": label}):
            self._remove_volume(str(volume.name))

    def describe(self) -> list[str]:
        return [
            f"{container.name}: {container.status}, {container.labels[recipe.SPEC_LABEL]}, "
            f"ssh -p {published_port(container)} -i {self.cache.key} {SSH_USER}@127.0.0.1"
            for container in self._containers(f"{recipe.LABEL}={self.lab}")
        ]

    def _container(self, name: str) -> Container | None:
        try:
            container = self.client.containers.get(name)
        except NotFound:
            return None
        if container.labels.get(recipe.LABEL) != self.lab:
            raise LabError(
                f"lab: {name}: a container with this name exists and does not belong to this lab",
                todo="remove it, or set GVISOR_LAB_NAME",
            )
        return container

    def _containers(self, label: str) -> list[Container]:
        return self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)

    def _remove_volume(self, name: str) -> None:
        until_gone(lambda: self.client.volumes.get(name).remove(force=True), name)

    def _created(self, name: str, spec: NodeSpec) -> Container:
        """Create the container and the volumes for the Docker in it; do not start it."""
        cgroup_version = int(self.client.info().get("CgroupVersion") or 1)
        volumes = volumes_of(name)
        try:
            for volume in volumes:
                self.client.volumes.create(volume, labels={recipe.LABEL: self.lab})
            return self.client.containers.create(
                recipe.image_tag(spec.flavour),
                recipe.boot_command(spec.flavour),
                name=name,
                hostname=name,
                labels={recipe.LABEL: self.lab, recipe.SPEC_LABEL: recipe.spec_label(spec)},
                environment=recipe.boot_environment(spec.flavour, cgroup_version=cgroup_version),
                privileged=True,
                cgroupns="private",
                stop_signal=recipe.STOP_SIGNAL[spec.flavour.init],
                tmpfs=_TMPFS,
                volumes={volume: {"bind": path, "mode": "rw"} for volume, path in volumes.items()},
                ports={SSH_PORT: ("127.0.0.1", free_port())},
            )
        except APIError as error:
            raise LabError(f"lab: {name}: Docker cannot create it", because=error) from error


def volumes_of(name: str) -> dict[str, str]:
    """Return the paths in a node by volume: its dockerd cannot use overlayfs on overlayfs."""
    return {f"{name}-{what}": f"/var/lib/{what}" for what in ("docker", "containerd")}


def until_gone(remove: Callable[[], object], what: str) -> None:
    """
    Call ``remove`` until Docker no longer knows the object. Raise ``LabError`` after 30 s.

    After a daemon was killed, Docker refuses at first to remove its mounts and containers.
    """
    until_s = time.monotonic() + REMOVE_TIMEOUT_S
    while True:
        try:
            remove()
        except NotFound:
            return
        except APIError as error:
            if time.monotonic() > until_s:
                raise LabError(f"lab: {what}: Docker cannot remove it", because=error) from error
            time.sleep(0.5)


@dataclass(frozen=True)
class ContainerNode(LabNode):
    """A node that is a container: with systemd or a shell as PID 1, sshd and dockerd."""

    container: Container = field(repr=False, compare=False)

    ready_timeout_s = 90
    how_to_look = "docker logs {name}"

    @property
    def address(self) -> str:
        """Return the node's address in Docker's network, at which other nodes reach it."""
        self.container.reload()
        found = self.container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(found.values()))["IPAddress"])

    @property
    def state(self) -> str:
        """Return Docker's word for the state. Raise ``LabError`` if Docker does not know it."""
        try:
            self.container.reload()
        except DockerException as error:
            raise LabError(
                f"lab: {self.name}: Docker does not know this node", because=error
            ) from error
        return str(self.container.status)

    def run(self, command: list[str], user: str) -> Ran:
        try:
            return run(self.container, command, user)
        except DockerException as error:
            raise LabError(f"lab: {self.name}: docker exec failed", because=error) from error

    def put_files(self, files: Files) -> None:
        put_files(self.container, files)

    def read(self, path: str) -> bytes:
        """Return a file's content by Docker's archive API: a busy Docker may lose exec output."""
        chunks, _ = self.container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(PurePosixPath(path).name)
            return member.read() if member else b""

    def kill(self) -> None:
        self.container.kill()
        self.container.wait(timeout=self.ready_timeout_s)

    def switch_on(self) -> None:
        self.container.start()


def put_files(container: Container, files: Files) -> None:
    """Write files, owned by root, into a container, started or not."""
    try:
        container.put_archive("/", packed(files))
    except APIError as error:
        raise LabError(f"lab: {container.name}: cannot write files", because=error) from error


def published_port(container: Container) -> int:
    """Return the port on 127.0.0.1 that leads to the node's sshd; 0 if none is published."""
    bindings = container.attrs["HostConfig"].get("PortBindings") or {}
    return int(bindings[SSH_PORT][0]["HostPort"]) if SSH_PORT in bindings else 0
