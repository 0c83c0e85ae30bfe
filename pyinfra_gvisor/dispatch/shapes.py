"""Known kinds of infrastructure: what their containers look like, whatever their image's id is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SOCKET = "/var/run/docker.sock:/var/run/docker.sock"
COMPOSE_LABELS = ("com.docker.compose.", "com.docker.stack.", "com.docker.swarm.")


@dataclass(frozen=True)
class Shape:
    """
    A kind of infrastructure container.

    + repositories: names of its image, without tag. They only tell that an unknown image may be of
      this kind; such an image is refused until an operator accepts its id
    + mounts: mounts for which it must be infrastructure
    + fixed: values of the keys of ``Infrastructure`` that are the same for every image
    + source: where this was read
    """

    name: str
    repositories: tuple[str, ...]
    mounts: tuple[str, ...]
    fixed: dict[str, Any] = field(default_factory=dict)
    source: str = ""


_COOLIFY = "https://github.com/coollabsio/coolify"

_SHAPES = (
    Shape(
        "coolify-helper",
        ("ghcr.io/coollabsio/coolify-helper", "docker.io/coollabsio/coolify-helper"),
        (f"{SOCKET}:rw",),
        {
            "mounts": (f"{SOCKET}:rw",),
            "optional_mounts": (
                "/root/.docker/config.json:/root/.docker/config.json:ro",
                "/root/.docker/buildx:/root/.docker/buildx:rw",  # of each deployment, in 4.3
            ),
            "name": "[a-z0-9]{24,}",
            "auto_remove": True,
            "without_labels": COMPOSE_LABELS,
        },
        f"{_COOLIFY} v4.3.10 app/Jobs/ApplicationDeploymentJob.php",
    ),
)
SHAPES = {shape.name: shape for shape in _SHAPES}
