"""What a request to Docker's API asks for, as the container that dockerd would make of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from posixpath import normpath
from typing import Any

from pyinfra_gvisor.judge.container import Container, Mount
from pyinfra_gvisor.judge.docker_files import (
    Undecided,
    parse_object,
    read_container,
    read_text,
    volume_options,
)

_ID = re.compile("[0-9a-f]{64}")
_VOLUME = re.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]*")  # moby, daemon/names
_PARTS = 3  # of a bind: source, destination and options


def requested_container(body: Mapping[str, Any], name: str, root: str) -> Container:
    """
    Return the container that a request would make; its image has only a name.

    + body: as ``api_keys.CONTAINER``; ``root``: Docker's data root

    Raises ``Undecided`` if a container that it names is not known.
    """
    host = {**(body.get("HostConfig") or {})}
    config = {key: value for key, value in body.items() if key != "HostConfig"}
    for key in ("NetworkMode", "IpcMode", "PidMode"):
        kind, _, other = (host.get(key) or "").partition(":")
        if kind == "container":
            host[key] = f"container:{find_container(root, other)}"
    mounts = (*_binds(host, root), *_mounts(host.get("Mounts") or (), root))
    taken = {mount.destination for mount in mounts}
    own = (normpath(path) for path in config.get("Volumes") or ())
    nameless = (Mount(path, kind="volume", driver="local") for path in own if path not in taken)
    return Container(
        id="",
        name=name.removeprefix("/"),
        image_id="",
        program=(*_words(config.get("Entrypoint")), *_words(config.get("Cmd"))),
        mounts=(*mounts, *nameless, *_others(host.get("VolumesFrom") or (), root)),
        secrets=False,
        config=config,
        host=host,
    )


def requested_task(body: Mapping[str, Any], root: str) -> Container:
    """
    Return a container of a service, as swarm would make it.

    + body: as ``api_keys.SERVICE``
    """
    task = body.get("TaskTemplate") or {}
    spec = task.get("ContainerSpec") or {}
    driver = task.get("LogDriver") or {}
    names, privileges = spec.get("DNSConfig") or {}, spec.get("Privileges") or {}
    networks = (item.get("Target") for item in task.get("Networks") or () if item)
    host = {
        "CapAdd": spec.get("CapabilityAdd"),
        "Dns": names.get("Nameservers"),
        "DnsOptions": names.get("Options"),
        "DnsSearch": names.get("Search"),
        "GroupAdd": spec.get("Groups"),
        "Init": spec.get("Init"),
        "LogConfig": {"Type": driver.get("Name"), "Config": driver.get("Options")},
        "NetworkMode": "host" if "host" in networks else "",
        # Swarm's words for these are others: no entry has them.
        "SecurityOpt": [key for key, value in privileges.items() if value],
        "Sysctls": spec.get("Sysctls"),
    }
    mounts = tuple(_mounts(spec.get("Mounts") or (), root))
    program = (*_words(spec.get("Command")), *_words(spec.get("Args")))
    keys = {"Entrypoint": "Command", "Cmd": "Args", "WorkingDir": "Dir", "Tty": "TTY"}
    same = ("Image", "Labels", "Env", "User", "Healthcheck", "OpenStdin")
    config = {key: spec.get(keys.get(key, key)) for key in (*same, *keys)}
    if "{{" in json.dumps(spec.get("Mounts")):  # swarm fills in templates
        raise Undecided("a mount with a template ({{...}}) is refused; write the value")
    secrets = bool(spec.get("Secrets") or spec.get("Configs"))
    return Container("", body.get("Name") or "", "", program, mounts, secrets, config, host)


def requested_volume(body: Mapping[str, Any], root: str) -> Container | None:
    """
    Return a container with the volume that a request would make; None if every container may.

    + body: as ``api_keys.VOLUME``
    """
    driver = {"Name": body.get("Driver"), "Options": body.get("DriverOpts")}
    mount = _volume(body.get("Name") or "", "/", {"DriverConfig": driver}, root)
    if not mount.options and mount.is_plain_volume:
        return None
    return Container("", "", "", (), (mount,), False, {}, {})


def find_container(root: str, given: str) -> str:
    """
    Return the id of a container, by its id, name, or the beginning of its id, as dockerd finds it.

    Raises ``Undecided`` if there is none, or not only one.
    """
    listed = [path.name for path in Path(root, "containers").iterdir() if _ID.fullmatch(path.name)]
    if given in listed:
        return given
    name = given.removeprefix("/")
    named = (item for item in listed if _name_of(root, item, name) == name)
    found = {*named, *(item for item in listed if item.startswith(given))}
    if given and len(found) == 1:
        return found.pop()
    raise Undecided(f"{len(found)} containers match {given}; use the full id of the container")


def _name_of(root: str, identity: str, like: str) -> str:
    """Return the name of a container; empty if it is not in what Docker wrote about it."""
    path = f"{root}/containers/{identity}/config.v2.json"
    try:
        text = read_text(path)
        found = parse_object(text, path) if like in text else {}
    except Undecided:  # removed meanwhile
        return ""
    return (found.get("Name") or "").removeprefix("/")


def _words(given: Any) -> Sequence[str]:
    return (given,) if isinstance(given, str) else given or ()


def _binds(host: Mapping[str, Any], root: str) -> Iterator[Mount]:
    """Return the mounts of ``-v``: moby, volume/mounts/linux_parser.go, ParseMountRaw."""
    driver = host.get("VolumeDriver") or ""
    for text in host.get("Binds") or ():
        parts = text.split(":")
        if len(parts) > _PARTS:
            raise Undecided(f"{text} is not a mount; write source:destination:options")
        has_source = len(parts) == _PARTS or (len(parts) > 1 and parts[1].startswith("/"))
        source, to = parts[:2] if has_source else ("", parts[0])
        options = parts[2:] if has_source else parts[1:]
        words = ",".join(options).split(",")
        writable = "ro" not in words
        if source.startswith("/"):
            yield Mount(normpath(to), _cleaned(source), writable=writable)
        else:
            found = _volume(source, to, {"DriverConfig": {"Name": driver}}, root)
            yield replace(found, writable=writable, copies="nocopy" not in words)


def _mounts(given: Iterable[Mapping[str, Any]], root: str) -> Iterator[Mount]:
    """Return the mounts of ``--mount``."""
    for item in given:
        kind, source = item.get("Type") or "", item.get("Source") or ""
        to, writable = item.get("Target") or "", not item.get("ReadOnly")
        writable = writable or bool((item.get("BindOptions") or {}).get("ReadOnlyNonRecursive"))
        if kind == "volume":
            options = item.get("VolumeOptions") or {}
            found = _volume(source, to, options, root)
            yield replace(found, writable=writable, copies=not options.get("NoCopy"))
        elif kind in ("bind", "tmpfs", "image"):
            source = _cleaned(source) if kind == "bind" else source
            yield Mount(normpath(to), source, kind, writable=writable)
        else:
            raise Undecided(f"mounts of type {kind} are refused; use bind, volume, tmpfs or image")


def _cleaned(path: str) -> str:
    """Return a path as dockerd takes it, without .. whatever links there are: path.Clean of Go."""
    return "/" + normpath(path).lstrip("/") if path.startswith("/") else path


def _volume(name: str, to: str, given: Mapping[str, Any], root: str) -> Mount:
    """
    Return a volume that exists, or that dockerd would create.

    + given: as in ``VolumeOptions`` of a mount
    """
    if not name:
        found = Mount(normpath(to), kind="volume")
    elif _VOLUME.fullmatch(name):
        own = f"{root}/volumes/{name}/_data"
        found = Mount(normpath(to), own, "volume", name, options=volume_options(root, name))
    else:
        raise Undecided(f"{name} is not a valid volume name")
    driver = given.get("DriverConfig") or {}
    options = driver.get("Options") or {}
    wanted = {
        "MountType": options.get("type") or "",
        "MountOpts": options.get("o") or "",
        "MountDevice": options.get("device") or "",
    }
    found = replace(found, driver=driver.get("Name") or "local")
    if not any(wanted.values()) or wanted.items() <= found.options.items():
        return found
    if found.options:
        raise Undecided(f"the volume {name} exists with other options; use another name")
    return replace(found, options=wanted)


def _others(given: Iterable[str], root: str) -> Iterator[Mount]:
    """Return the mounts of ``--volumes-from``."""
    for text in given:
        other, _, mode = text.partition(":")
        for mount in read_container(root, find_container(root, other)).mounts:
            yield replace(mount, writable=mount.writable and "ro" not in mode.split(","))
