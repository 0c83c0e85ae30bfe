"""A lab: its nodes are created, reused while they work, and removed without a trace."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import docker
from docker import DockerClient
from docker.errors import DockerException

from pyinfra_gvisor.base.atomic_write import write_whole
from tools.lab import recipe
from tools.lab.cache import Cache
from tools.lab.containers import Containers
from tools.lab.image import ensure_runsc
from tools.lab.machines import Machines
from tools.lab.make import built_docker, first_files, live_in
from tools.lab.makers import Maker
from tools.lab.node import LabNode
from tools.lab.spec import Kind, LabError, NodeSpec

API_TIMEOUT_S = 120
PARALLEL = 4
"""Nodes that are created at the same time: more gain nothing on two processor cores."""


def tell_on_stderr(line: str) -> None:
    """Print progress to standard error: standard output belongs to the caller."""
    sys.stderr.write(f"lab: {line}\n")
    sys.stderr.flush()


def connect() -> DockerClient:
    """Return a client of the Docker that runs the nodes. Raise ``LabError`` if none answers."""
    try:
        return docker.from_env(timeout=API_TIMEOUT_S)
    except DockerException as error:
        raise LabError(
            "lab: docker: dockerd does not answer", because=error, todo="run .ci/setup"
        ) from error


@dataclass(frozen=True)
class Lab:
    """The nodes ``<name>-1``, ``<name>-2``, … on this machine."""

    name: str
    tell: Callable[[str], None] = field(default=tell_on_stderr, repr=False, compare=False)
    cache: Cache = field(default_factory=lambda: Cache.of(os.environ))
    client: DockerClient = field(default_factory=connect, repr=False, compare=False)

    def up(self, specs: Sequence[NodeSpec]) -> list[LabNode]:
        """
        Return one running node for each spec, in that order.

        Keep a node that matches its spec and answers; replace any other. Further nodes of the lab
        stay. Raise ``LabError``.
        """
        names = [f"{self.name}-{number}" for number in range(1, len(specs) + 1)]
        wanted = dict(zip(names, specs, strict=True))
        with self.cache.lock(f"lab-{self.name}"), ThreadPoolExecutor(PARALLEL) as pool:
            keys = dict(zip(names, pool.map(self._host_key_if_sound, names, specs), strict=True))
            missing = [name for name in names if keys[name] is None]
            self._ensure_images(wanted[name] for name in missing)
            made = pool.map(lambda name: self._make(name, wanted[name]), missing)
            keys.update(zip(missing, made, strict=True))
            nodes = [self._makers[wanted[name].kind].node(name, wanted[name]) for name in names]
            self._write_known_hosts(nodes, keys)
        return nodes

    def describe(self) -> list[str]:
        """Return one line for each node of this lab, running or not."""
        lines = [line for maker in self._makers.values() for line in maker.describe()]
        return sorted(lines) or [f"{self.name}: no nodes"]

    def down(self) -> None:
        """Remove the nodes of this lab, their data, and the lab's files."""
        with self.cache.lock(f"lab-{self.name}"):
            for maker in self._makers.values():
                maker.remove_all(self.name)
            self.cache.forget(self.name)

    def remove_everything(self) -> None:
        """Remove all labs of this user, their images, keys and other files; built parts stay."""
        for maker in self._makers.values():
            maker.remove_all(None)
        for image in self.client.images.list(filters={"label": recipe.IMAGE_LABEL}):
            for tag in image.tags or [str(image.id)]:
                self.tell(f"removing image {tag}")
                self.client.images.remove(tag, force=True)
        self.cache.clear()
        if self.cache.parts.is_dir():
            parts = shlex.quote(str(self.cache.parts))
            self.tell(f"built parts stay for the next lab; to remove them: rm -r {parts}")

    @property
    def _makers(self) -> Mapping[Kind, Maker]:
        home = (self.name, self.client, self.cache, self.tell)
        return {"container": Containers(*home), "vm": Machines(*home)}

    def _host_key_if_sound(self, name: str, spec: NodeSpec) -> str | None:
        """
        Return the host key of a node that matches its spec and answers; else None.

        Raise ``LabError`` if a container or machine with this name belongs to somebody else.
        """
        maker = self._makers[spec.kind]
        found = {kind: each.find(name) for kind, each in self._makers.items()}[spec.kind]
        if found is None:
            return None
        if found.label != recipe.spec_label(spec):
            self.tell(f"{name}: was created by another recipe, replacing the node")
        elif not self.cache.ready(self.name, found.id).is_file():
            self.tell(f"{name}: was not fully set up, replacing the node")
        elif found.state != "running":
            self.tell(f"{name}: is {found.state}, replacing the node")
        elif key := maker.node(name, spec).host_key():
            return key
        else:
            self.tell(f"{name}: does not answer, replacing the node")
        return None

    def _make(self, name: str, spec: NodeSpec) -> str:
        """Create a node in place of what is there, wait until it answers, return its host key."""
        files = first_files(
            spec, public_key=self.cache.public_key(), runsc_package=self.cache.runsc_package
        )
        files |= built_docker(spec.flavour, cache=self.cache, tell=self.tell)
        for kind, other in self._makers.items():
            if kind != spec.kind:
                other.remove(name)
        maker = self._makers[spec.kind]
        maker.make(name, spec, files)
        node = maker.node(name, spec)
        key = node.wait_until_ready()
        if spec.lived_in:
            live_in(node)
        if found := maker.find(name):
            self.cache.ready(self.name, found.id).touch()
        self.tell(f"{name}: up, {recipe.spec_label(spec)}, ssh on 127.0.0.1:{node.ssh_port}")
        return key

    def _ensure_images(self, specs: Iterable[NodeSpec]) -> None:
        for spec in specs:
            self._makers[spec.kind].ensure(spec)
            if spec.lived_in:
                ensure_runsc(client=self.client, cache=self.cache, tell=self.tell)

    def _write_known_hosts(self, nodes: Sequence[LabNode], keys: dict[str, str | None]) -> None:
        lines = [f"[127.0.0.1]:{node.ssh_port} {keys[node.name]}\n" for node in nodes]
        write_whole(self.cache.known_hosts(self.name), "".join(lines), 0o644)
