"""A lab: nodes that are made, re-used while they are sound, and removed without a trace."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import docker
from docker import DockerClient
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from pyinfra_gvisor.lab import recipe
from pyinfra_gvisor.lab.cache import Cache, write_atomically
from pyinfra_gvisor.lab.image import ensure_image, ensure_runsc
from pyinfra_gvisor.lab.make import (
    built_docker,
    create,
    first_files,
    live_in,
    until_gone,
    volumes_of,
)
from pyinfra_gvisor.lab.node import SSH_USER, LabNode, published_port, put_files
from pyinfra_gvisor.lab.spec import LabError, NodeSpec, checked_name

API_TIMEOUT_S = 120
PARALLEL = 4
"""Nodes that are made at a time; two processor cores have little use for more."""
START_ATTEMPTS = 4


def tell_on_stderr(line: str) -> None:
    """Progress, for people: standard output belongs to whoever calls."""
    sys.stderr.write(f"lab: {line}\n")
    sys.stderr.flush()


def connect() -> DockerClient:
    """Return a client of the Docker that runs the nodes. Raises ``LabError`` if none answers."""
    try:
        return docker.from_env(timeout=API_TIMEOUT_S)
    except DockerException as error:
        raise LabError(
            "lab: docker: its daemon does not answer", because=error, todo="run .ci/setup"
        ) from error


@dataclass(frozen=True)
class Lab:
    """The nodes ``<name>-1``, ``<name>-2``, … on this machine."""

    name: str
    tell: Callable[[str], None] = field(default=tell_on_stderr, repr=False, compare=False)
    cache: Cache = field(default_factory=lambda: Cache.of(os.environ))
    client: DockerClient = field(default_factory=connect, repr=False, compare=False)

    def __post_init__(self) -> None:
        checked_name(self.name)

    def up(self, specs: Sequence[NodeSpec]) -> list[LabNode]:
        """
        Have one node per spec, answering, in that order. A node that is sound is left alone; one
        that is not, or is not what its spec says, is replaced. Nodes beyond the specs stay.
        """
        names = [f"{self.name}-{number}" for number in range(1, len(specs) + 1)]
        wanted = dict(zip(names, specs, strict=True))
        with self.cache.lock(f"lab-{self.name}"), ThreadPoolExecutor(PARALLEL) as pool:
            keys = dict(zip(names, pool.map(self._host_key_if_sound, names, specs), strict=True))
            missing = [name for name in names if keys[name] is None]
            self._ensure_images(wanted[name] for name in missing)
            made = pool.map(lambda name: self._make(name, wanted[name]), missing)
            keys.update(zip(missing, made, strict=True))
            nodes = [self._node(name, wanted[name]) for name in names]
            self._write_known_hosts(nodes, keys)
        return nodes

    def describe(self) -> list[str]:
        """A line for every container of this lab, running or not."""
        lines = [
            f"{container.name}: {container.status}, {container.labels[recipe.SPEC_LABEL]}, "
            f"ssh -p {published_port(container)} -i {self.cache.key} {SSH_USER}@127.0.0.1"
            for container in self._containers(f"{recipe.LABEL}={self.name}")
        ]
        return sorted(lines) or [f"{self.name}: no nodes"]

    def down(self) -> None:
        """Remove the nodes of this lab, their volumes, and what was kept about them."""
        with self.cache.lock(f"lab-{self.name}"):
            self._remove(f"{recipe.LABEL}={self.name}")
            self.cache.forget(self.name)

    def remove_everything(self) -> None:
        """Remove all labs of this user's, their images, keys and everything else that was kept."""
        self._remove(recipe.LABEL)
        for image in self.client.images.list(filters={"label": recipe.IMAGE_LABEL}):
            for tag in image.tags or [str(image.id)]:
                self.tell(f"removing image {tag}")
                self.client.images.remove(tag, force=True)
        self.cache.clear()
        if self.cache.parts.is_dir():
            parts = shlex.quote(str(self.cache.parts))
            self.tell(f"what was built stays for the next lab; to remove it: rm -r {parts}")

    def _host_key_if_sound(self, name: str, spec: NodeSpec) -> str | None:
        """The host key of the node if it is what the spec wants and answers, else None."""
        container = self._container(name)
        if container is None:
            return None
        if container.labels.get(recipe.SPEC_LABEL) != recipe.spec_label(spec):
            self.tell(f"{name}: made by another recipe, replacing it")
        elif not self.cache.ready(self.name, str(container.id)).is_file():
            self.tell(f"{name}: was not finished, replacing it")
        elif container.status != "running":
            self.tell(f"{name}: is {container.status}, replacing it")
        elif key := self._node(name, spec).host_key():
            return key
        else:
            self.tell(f"{name}: does not answer, replacing it")
        return None

    def _make(self, name: str, spec: NodeSpec) -> str:
        """Make the node from nothing, in the place of what was there; its host key."""
        node = self._started(name, spec)
        key = node.wait_until_ready()
        if spec.lived_in:
            live_in(node)
        self.cache.ready(self.name, str(node.container.id)).touch()
        self.tell(f"{name}: up, {recipe.spec_label(spec)}, ssh on 127.0.0.1:{node.ssh_port}")
        return key

    def _started(self, name: str, spec: NodeSpec) -> LabNode:
        files = first_files(
            spec, public_key=self.cache.public_key(), runsc_package=self.cache.runsc_package
        )
        files |= built_docker(spec.flavour, cache=self.cache, tell=self.tell)
        for attempt in range(1, START_ATTEMPTS + 1):
            self._remove_node(name)
            container = create(name, spec, lab=self.name, client=self.client)
            put_files(container, files)
            try:
                container.start()
                break
            except APIError as error:  # such as a port that was taken in the meantime
                if attempt == START_ATTEMPTS:
                    raise LabError(f"lab: {name}: does not start", because=error) from error
        return self._node(name, spec)

    def _node(self, name: str, spec: NodeSpec) -> LabNode:
        container = self.client.containers.get(name)
        return LabNode(
            name=name,
            spec=spec,
            ssh_port=published_port(container),
            key=self.cache.key,
            known_hosts=self.cache.known_hosts(self.name),
            container=container,
        )

    def _container(self, name: str) -> Container | None:
        """The container of that name. Raises ``LabError`` if it is somebody else's."""
        try:
            container = self.client.containers.get(name)
        except NotFound:
            return None
        if container.labels.get(recipe.LABEL) != self.name:
            raise LabError(
                f"lab: {name}: a container of that name exists and is not of this lab",
                todo="remove it, or set GVISOR_LAB_NAME",
            )
        return container

    def _containers(self, label: str) -> list[Container]:
        return self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)

    def _ensure_images(self, specs: Iterable[NodeSpec]) -> None:
        for spec in specs:
            ensure_image(spec.flavour, client=self.client, cache=self.cache, tell=self.tell)
            if spec.lived_in:
                ensure_runsc(client=self.client, cache=self.cache, tell=self.tell)

    def _write_known_hosts(self, nodes: Sequence[LabNode], keys: dict[str, str | None]) -> None:
        lines = [f"[127.0.0.1]:{node.ssh_port} {keys[node.name]}\n" for node in nodes]
        write_atomically(self.cache.known_hosts(self.name), "".join(lines))

    def _remove_node(self, name: str) -> None:
        until_gone(lambda: self.client.containers.get(name).remove(force=True, v=True), name)
        for volume in volumes_of(name):
            self._remove_volume(volume)

    def _remove_volume(self, name: str) -> None:
        until_gone(lambda: self.client.volumes.get(name).remove(force=True), name)

    def _remove(self, label: str) -> None:
        for container in self._containers(label):
            self.tell(f"removing {container.name}")
            self._remove_node(str(container.name))
        for volume in self.client.volumes.list(filters={"label": label}):
            self._remove_volume(str(volume.name))
