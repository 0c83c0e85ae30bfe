"""
What Docker is to be asked for, so that a container is created once more from what it was given.

Docker's answer about a container has its own configuration, merged with its image's. As the image
stays the same, that merged one is what the container needs: moby, api/types/container.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.moves.mover.engine import Inspected

_SHORT = 12  # characters of an id that Docker takes as a host name and as an alias
_ALONE = ("host", "none", "container:")
_BRIDGES = ("default", "bridge")
_ENDPOINT = ("IPAMConfig", "Links", "DriverOpts", "GwPriority")


@dataclass(frozen=True)
class Recreation:
    """
    A request for a container, and the networks that it is connected to after that.

    Docker before API 1.44 takes only one network in the request itself.
    """

    body: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]


def recreation(told: Inspected, image: str, desired: Mapping[str, str]) -> Recreation:
    """
    Return how to create a container once more, for the node's default runtime.

    + image: its name, or its id if the name means another image by now
    + desired: hardware addresses that somebody chose, by network. Docker does not tell them
    """
    host = _host(told)
    endpoints = _endpoints(told, desired)
    mode = host.get("NetworkMode") or "default"
    first = next((name for name in endpoints if name == mode or mode in _BRIDGES), None)
    within = {} if first is None else {first: endpoints.pop(first)}
    body = {
        **_config(told, image),
        "HostConfig": host,
        "NetworkingConfig": {"EndpointsConfig": within},
    }
    return Recreation(body, endpoints)


def _config(told: Inspected, image: str) -> dict[str, Any]:
    config = {key: value for key, value in told["Config"].items() if value is not None}
    config.pop("OnBuild", None)  # of the image, for builds
    mode = told["HostConfig"].get("NetworkMode") or ""
    if config.get("Hostname") == told["Id"][:_SHORT] or mode.startswith(("host", "container:")):
        config.pop("Hostname", None)
        config.pop("Domainname", None)
    return {**config, "Image": image}


def _host(told: Inspected) -> dict[str, Any]:
    host = {k: v for k, v in copy.deepcopy(told["HostConfig"]).items() if v is not None}
    host["Runtime"] = ""
    host.pop("ContainerIDFile", None)
    for key in ("MaskedPaths", "ReadonlyPaths"):  # Docker's own lists; [] is somebody's choice
        if host.get(key):
            host.pop(key)
    if host.get("Links"):
        host["Links"] = [_link(item) for item in host["Links"]]
    host["Binds"] = [*(host.get("Binds") or ()), *_unnamed(told)]
    host["Mounts"] = _mounts(told)
    host["PortBindings"] = _ports(told)
    host["PublishAllPorts"] = False  # these ports are named now
    return host


def _link(text: str) -> str:
    """Return ``/other:/own/alias`` as it was given: ``other:alias``."""
    other, _, own = text.partition(":")
    return f"{other.lstrip('/')}:{own.rpartition('/')[2]}"


def _unnamed(told: Inspected) -> Iterator[str]:
    """
    Yield the volumes that nobody named, by the names that Docker gave them.

    So their data stay. Docker copies nothing of the image into them.
    """
    host = told["HostConfig"]
    named = {item.split(":")[1] for item in host.get("Binds") or () if ":" in item}
    named |= {item["Target"] for item in host.get("Mounts") or ()}
    for mount in told.get("Mounts") or ():
        if mount.get("Type") == "volume" and mount["Destination"] not in named:
            mode = "nocopy" if mount.get("RW", True) else "ro,nocopy"
            yield f"{mount['Name']}:{mount['Destination']}:{mode}"


def _mounts(told: Inspected) -> list[dict[str, Any]]:
    """Return ``HostConfig.Mounts``, each volume with a name."""
    names = {item["Destination"]: item.get("Name") for item in told.get("Mounts") or ()}
    found = copy.deepcopy(told["HostConfig"].get("Mounts") or [])
    for item in found:
        if item.get("Type") == "volume" and not item.get("Source"):
            item["Source"] = names.get(item["Target"])
            item["VolumeOptions"] = {**(item.get("VolumeOptions") or {}), "NoCopy": True}
    return found


def _ports(told: Inspected) -> dict[str, list[dict[str, str]]]:
    """Return the published ports with the numbers that they have now, chosen by Docker or not."""
    asked = told["HostConfig"].get("PortBindings") or {}
    now = (told.get("NetworkSettings") or {}).get("Ports") or {}
    found = {}
    for port in {*asked, *(port for port, given in now.items() if given)}:
        given = asked.get(port) or []
        is_whole = bool(given) and all(_is_number(item.get("HostPort")) for item in given)
        found[port] = given if is_whole else (now.get(port) or given)
    return found


def _is_number(text: str | None) -> bool:
    return bool(text) and str(text).isdecimal() and text != "0"


def _endpoints(told: Inspected, desired: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    mode = told["HostConfig"].get("NetworkMode") or "default"
    if mode.startswith(_ALONE):
        return {}
    found = {}
    for name, endpoint in (told["NetworkSettings"].get("Networks") or {}).items():
        given = {key: endpoint[key] for key in _ENDPOINT if endpoint.get(key)}
        aliases = [item for item in endpoint.get("Aliases") or () if item != told["Id"][:_SHORT]]
        if aliases and name != "bridge":
            given["Aliases"] = aliases
        if desired.get(name):
            given["MacAddress"] = desired[name]
        found[name] = given
    return found
