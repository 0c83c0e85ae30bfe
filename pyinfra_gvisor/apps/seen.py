"""What one look at a node tells about its running containers, without anything that they print."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import Field, field_validator

from pyinfra_gvisor.apps.programs import PROGRAMS
from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.scripts import DOCKER_ANSWERS, ENVIRONMENT, SOCKET, program
from pyinfra_gvisor.dispatch.pulled import Answer
from pyinfra_gvisor.platforms.coolify import RESOURCE_NAME

END = "end of apps"
_SOCKETS = "sockets"


class Mount(Reading):
    """
    A mount of a container. ``type`` is ``bind`` for a path of the node. ``socket``: its source is a
    Unix socket of the node.
    """

    type: str = Field("", alias="Type")
    source: str = Field("", alias="Source")
    target: str = Field(alias="Destination")
    socket: bool = Field(False, alias="Socket")


class Device(Reading):
    """A device of the node that a container can use, from ``HostConfig.Devices``."""

    host: str = Field("", alias="PathOnHost")
    inside: str = Field("", alias="PathInContainer")
    permissions: str = Field("", alias="CgroupPermissions")


class DeviceRequest(Reading):
    """Devices that a driver selects, such as ``--gpus``, from ``HostConfig.DeviceRequests``."""

    driver: str = Field("", alias="Driver")
    count: int = Field(0, alias="Count")
    ids: tuple[str, ...] | None = Field(None, alias="DeviceIDs")
    capabilities: tuple[tuple[str, ...], ...] | None = Field(None, alias="Capabilities")


class Options(Answer):
    """What a container was given, as ``HostConfig`` of Docker's API names it."""

    runtime: str = Field("", alias="Runtime")
    privileged: bool = Field(False, alias="Privileged")
    network: str = Field("", alias="NetworkMode")
    pid: str = Field("", alias="PidMode")
    ipc: str = Field("", alias="IpcMode")
    uts: str = Field("", alias="UTSMode")
    capabilities: tuple[str, ...] = Field((), alias="CapAdd")
    devices: tuple[Device, ...] = Field((), alias="Devices")
    device_requests: tuple[DeviceRequest, ...] = Field((), alias="DeviceRequests")
    pids_limit: int = Field(0, alias="PidsLimit")
    memory_bytes: int = Field(0, alias="Memory")
    sysctls: dict[str, str] = Field(default_factory=dict, alias="Sysctls")
    security: tuple[str, ...] = Field((), alias="SecurityOpt")


class Seen(Reading):
    """
    What the processes of a container had and did when they were looked at.

    + cut: there were more processes than were looked at
    + tmp_bytes: size of the files in ``/tmp``; 0 if something is mounted there
    + listens: paths of Unix sockets, as the container has them
    + moved: those of them that have another name by now, or none
    + watched: mounts in which files are watched with inotify
    + netlink: protocols of sockets, as numbers of netlink(7); ``0 with groups`` for one that is
      told of changes of the network
    + raw: tables of ``/proc/net`` that have a socket of the container
    + mounted: type and place of file systems that are no mounts of Docker's
    + opened: files of ``/dev`` and ``/proc``, and what has no name, such as ``io_uring``
    + setuid, elf32, engine: names of programs that got rights of their file's owner, are of 32
      bits, or start containers themselves
    + programs: names of ``programs.PROGRAMS``
    """

    cut: bool = False
    tmp_bytes: int = 0
    listens: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    netlink: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    mounted: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    setuid: tuple[str, ...] = ()
    elf32: tuple[str, ...] = ()
    engine: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


class App(Reading):
    """A running container. ``seen`` is None if Docker names no process of it."""

    id: str = Field(alias="Id")
    name: str = Field(alias="Name")
    image: str = Field("", alias="Image")
    labels: dict[str, str] = Field(default_factory=dict, alias="Labels")
    options: Options = Field(alias="HostConfig")
    mounts: tuple[Mount, ...] = Field((), alias="Mounts")
    seen: Seen | None = Field(None, alias="Seen")

    @field_validator("name")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.removeprefix("/")

    def on_node(self, path: str) -> str | None:
        """Return where the node has a path of the container; None if it is in no mount."""
        held = (item for item in self.mounts if _within(path, item.target))
        mount = max(held, key=lambda item: len(item.target), default=None)
        if mount is None or not mount.source:
            return None
        return mount.source.rstrip("/") + path.removeprefix(mount.target.rstrip("/"))

    def reaches(self, path: str) -> bool:
        """Return True if a mount of the container has this path of the node."""
        return any(item.source and _within(path, item.source) for item in self.mounts)


@dataclass(frozen=True)
class Apps:
    """The running containers, and paths of sockets in their mounts on which the node listens."""

    apps: tuple[App, ...]
    sockets: tuple[str, ...]

    @cached_property
    def shared_sockets(self) -> dict[str, list[str]]:
        """Return the sockets that containers share by a mount, by the id of either one."""
        found: dict[str, list[str]] = {}
        for one in self.apps:
            for path in one.seen.listens if one.seen else ():
                there = one.on_node(path)
                for other in self.apps if there else ():
                    if other is not one and there and other.reaches(there):
                        text = f"{path} of {one.name}, which {other.name} has in a mount"
                        found.setdefault(one.id, []).append(text)
                        found.setdefault(other.id, []).append(text)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return both, for ``pyinfra … fact``."""
        return {"apps": [item.to_json() for item in self.apps], "sockets": [*self.sockets]}


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def apps_script() -> str:
    """Return the shell program that prints what ``parse_apps`` reads. It changes nothing."""
    return f"{ENVIRONMENT}{apps_command()}\n"


def apps_command() -> str:
    """Return the command of that program, without the environment that it needs."""
    text = program(*DOCKER_ANSWERS, "apps/look.pl")
    keys = "\n".join(field.alias or "" for field in Options.model_fields.values())
    given = (text, "apps", SOCKET, keys, RESOURCE_NAME, "\n".join(PROGRAMS))
    return f"perl -e {shlex.join(given)}"


def parse_apps(output: Sequence[str]) -> Apps:
    """
    Return what ``look.pl`` printed.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if END not in output:
        last = " ".join(output[-1:])[:60]
        raise ValueError(f"the node's answer is incomplete: it ends with: {last}")
    lines = _documents(output[: output.index(END)])
    apps = sorted(map(App.model_validate, lines["app"]), key=lambda item: item.name)
    return Apps(tuple(apps), tuple(path for paths in lines[_SOCKETS] for path in paths))


def _documents(lines: Sequence[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"app": [], _SOCKETS: []}
    for line in lines:
        word, _, text = line.partition(" ")
        if word not in found:
            raise ValueError(f"the node's answer is malformed: {line[:60]}")
        found[word].append(json.loads(text))
    return found
