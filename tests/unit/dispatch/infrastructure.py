"""Images and containers of a platform, as Docker's API shows them and as its files have them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra_gvisor.dispatch.pulled import END, Pulled, parse_pulled
from pyinfra_gvisor.dispatch.shapes import COMPOSE_LABELS, SHAPES, SOCKET, Shape

IMAGE = "sha256:" + "a" * 64
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROJECT = "com.docker.compose.project"


def image(tag: str = "docker.io/coollabsio/coolify-helper:1.0.15", **config: Any) -> dict[str, Any]:
    """An image as ``pulled.pl`` prints it; ``config`` such as ``Cmd``."""
    return {
        "Id": IMAGE,
        "RepoTags": [tag],
        "RepoDigests": [f"{tag.rpartition(':')[0]}@sha256:{'d' * 64}"],
        "Created": "2026-10-01T10:00:00Z",
        "Size": 200_000_000,
        "Config": {
            "Entrypoint": ["/sbin/tini", "--"],
            "Cmd": ["tail", "-f", "/dev/null"],
            "Env": [PATH, "RAILPACK_VERSION=0.23.0"],
            "User": "root",
            "WorkingDir": "/artifacts",
            **config,
        },
        "Containerd": False,
    }


HOST = {"NetworkMode": "coolify", "PidMode": "", "IpcMode": "private", "AutoRemove": True}


def container(
    name: str = "h" * 24,
    *,
    of: Mapping[str, Any] | None = None,
    mounts: Sequence[str] = (f"{SOCKET}:rw",),
    labels: Mapping[str, str] | None = None,
    env: Sequence[str] = (),
    host: Mapping[str, Any] | None = None,
    **config: Any,
) -> dict[str, Any]:
    """
    A container as ``docker inspect`` shows it.

    ``of``: its image. ``mounts`` as entries of the policy have them. ``config`` is what it has
    otherwise than the image.
    """
    own = of or image()
    run = {**own["Config"], **config}
    words = [*(run["Entrypoint"] or ()), *(run["Cmd"] or ())]
    return {
        "Id": hashlib.sha256(name.encode()).hexdigest(),
        "Name": f"/{name}",
        "Image": own["Id"],
        "Path": words[0],
        "Args": words[1:],
        "Running": True,
        "Config": {
            **run,
            "Image": own["RepoTags"][0],
            "Env": [*run["Env"], *env],
            "Labels": dict(labels or {}),
        },
        "HostConfig": {**HOST, **(host or {})},
        "Mounts": [_mount(text) for text in mounts],
    }


def _mount(text: str) -> dict[str, Any]:
    source, destination, mode = text.split(":")
    common = {"Destination": destination, "RW": mode == "rw"}
    word, _, name = source.partition("=")
    if word != "volume":
        return {**common, "Type": "bind", "Source": source}
    named = name or "f" * 64
    path = f"/var/lib/docker/volumes/{named}/_data"
    return {**common, "Type": "volume", "Name": named, "Source": path}


def pulled_lines(*found: Mapping[str, Any]) -> list[str]:
    """The lines of ``pulled.pl`` about these images and containers."""
    words = ("image" if "RepoTags" in item else "container" for item in found)
    lines = [f"{word} {json.dumps(item)}" for word, item in zip(words, found, strict=True)]
    return [*lines, END]


def pulled(*found: Mapping[str, Any]) -> Pulled:
    """What a node has, read as from its answer."""
    return parse_pulled(pulled_lines(*found))


def as_files(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A container's ``config.v2.json`` and ``hostconfig.json``, as Docker writes them."""
    points = {item["Destination"]: item for item in document["Mounts"]}
    top = {key: document[key] for key in ("Name", "Image", "Path", "Args")}
    return (
        {"ID": document["Id"], **top, "Config": document["Config"], "MountPoints": points},
        dict(document["HostConfig"]),
    )


def as_it_is(shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    """An image of a shape, and the container that its platform makes of it."""
    fixed, usual = shape.fixed, shape.usual
    tag = f"{shape.repositories[-1]}:1.0"
    own = image(tag)
    labels = dict(fixed.get("labels", {}))
    if not {*COMPOSE_LABELS} & {*fixed.get("without_labels", ())}:
        labels |= {PROJECT: "project", "com.docker.compose.service": "one"}
    host = {
        "NetworkMode": fixed.get("network", "coolify").replace("own", "coolify"),
        "PidMode": fixed.get("pid", ""),
        "ExtraHosts": list(fixed.get("extra_hosts", ())),
        "AutoRemove": fixed.get("auto_remove", False),
        # Docker adds it itself.
        "SecurityOpt": ["label=disable"] if fixed.get("pid") == "host" else None,
    }
    run: dict[str, Any] = {}
    if command := fixed.get("command"):
        run["Cmd"] = list(command)
    if check := usual.get("healthcheck"):
        run["Healthcheck"] = check
    names = {"coolify-helper": "h" * 24, "coolify-cleanup": "brave_turing"}
    name = names.get(shape.name) or fixed.get("name") or "node-exporter"
    env = [f"{item}=1" for item in fixed.get("env_free", ())]
    made = container(name, of=own, mounts=fixed["mounts"], labels=labels, env=env, host=host, **run)
    return own, made


KNOWN = [shape for shape in SHAPES.values() if shape.fixed]
"""The shapes that say more than which project it is."""
