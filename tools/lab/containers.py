"""Nodes that are containers of this machine's Docker."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from tools.lab import recipe
from tools.lab.image import ensure_image
from tools.lab.make import free_port
from tools.lab.makers import Found, Maker
from tools.lab.node import PATH, SSH_PORT, Files, LabNode, packed
from tools.lab.spec import LabError, NodeSpec

REMOVE_TIMEOUT_S = 30
START_ATTEMPTS = 4

_TMPFS = {
    "/run": "mode=755,exec",
    "/run/lock": "mode=1777",
    "/tmp": "mode=1777,exec",  # noqa: S108  (a path in the node)
}


@dataclass(frozen=True)
class Containers(Maker):
    """Nodes that are containers, found by their label: see ``makers.Maker``."""

    def ensure(self, spec: NodeSpec) -> None:
        ensure_image(spec.flavour, client=self.client, cache=self.cache, tell=self.tell)

    def find(self, name: str) -> Found | None:
        container = self._container(name)
        if container is None:
            return None
        label = container.labels.get(recipe.SPEC_LABEL, "")
        return Found(label, str(container.id), published_port(container), container.status)

    def node(self, name: str, spec: NodeSpec) -> "ContainerNode":
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
            try:
                container.put_archive("/", packed(files))
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

    def names(self) -> Iterable[str]:
        return (str(found.name) for found in self._containers(f"{recipe.LABEL}={self.lab}"))

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

    def run(self, command: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command in the container's namespaces: ten times faster than Docker's exec."""
        entering = _entering(self.container)
        if not entering and self.state == "running":  # started again since it was looked at
            entering = _entering(self.container)
        if not entering:
            todo = "start it, and run this as root on the machine that has the container"
            raise LabError(f"lab: {self.name}: its namespaces cannot be entered", todo=todo)
        return subprocess.run(
            [*entering, *command], check=False, input=stdin, capture_output=True, cwd="/"
        )

    def kill(self) -> None:
        self.container.kill()
        self.container.wait(timeout=self.ready_timeout_s)

    def switch_on(self) -> None:
        self.container.start()


def published_port(container: Container) -> int:
    """Return the port on 127.0.0.1 that leads to the node's sshd; 0 if none is published."""
    bindings = container.attrs["HostConfig"].get("PortBindings") or {}
    return int(bindings[SSH_PORT][0]["HostPort"]) if SSH_PORT in bindings else 0


_IS_FIRST = re.compile(r"^NSpid:\t\d+\t1$", re.MULTILINE)
"""In /proc/pid/status, for PID 1 in a namespace right below this one: proc_pid_status(5)."""
# Arguments: PID 1 of the container, a cgroup.procs file for each hierarchy, "", the command.
_ENTER = """
first=$1
shift
while [ -n "$1" ]; do
    echo 0 > "$1"
    shift
done
shift
exec nsenter --target "$first" --mount --uts --ipc --net --pid --cgroup -- env -i "$@"
"""


def _entering(container: Container) -> list[str]:
    """Return the words that enter the container, as it is known; empty if that is impossible."""
    first = int(container.attrs["State"]["Pid"])
    try:
        known = Path(f"/proc/{first}/cgroup").read_text()
        is_first = _IS_FIRST.search(Path(f"/proc/{first}/status").read_text())
    except OSError:  # the container does not run, or has just ended
        return []
    # Another process, or another machine.
    if os.geteuid() != 0 or not is_first or str(container.id) not in known:
        return []
    config = container.attrs["Config"]
    environment = [PATH, f"HOSTNAME={config['Hostname']}", *config["Env"], "HOME=/root"]
    groups = [line.split(":", 2)[1:] for line in known.splitlines()]
    files = [
        str(file) for names, path in groups if (file := _procs(names, path, container)).exists()
    ]
    return ["sh", "-c", _ENTER, "sh", str(first), *files, "", *environment]


def _procs(names: str, path: str, container: Container) -> Path:
    """Return the cgroup.procs file of a line of /proc/pid/cgroup: cgroups(7)."""
    below = path.lstrip("/")
    if not names:
        both = Path("/sys/fs/cgroup/unified")  # beside hierarchies of version 1
        return (both if both.exists() else both.parent) / below / "cgroup.procs"
    # The container's own group, not one that its init has made below.
    above, id_, _ = below.partition(str(container.id))
    return Path("/sys/fs/cgroup", names.removeprefix("name="), above + id_, "cgroup.procs")
