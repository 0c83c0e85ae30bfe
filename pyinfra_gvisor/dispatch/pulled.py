"""Images and containers on a node that are infrastructure, or may be."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator, model_validator

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.redaction import SECRET_NAME
from pyinfra_gvisor.base.scripts import ENVIRONMENT, program
from pyinfra_gvisor.dispatch.shapes import SHAPES, Shape, shapes_of

END = "end of images"
SHORT_ID = 12  # digits, as docker images shows them
IS_DIGITS = re.compile("(sha256:)?[0-9a-f]+")  # what may be an id, so never the name of a container


class _Answer(Reading):
    """An answer of Docker's, in which null stands for an empty value."""

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in value.items() if item is not None}


class Configured(_Answer):
    """
    What an image or a container runs, as Docker's API names it.

    Of a variable whose name or value looks like a secret, ``env`` has only the name.
    """

    image: str = Field("", alias="Image")
    entrypoint: tuple[str, ...] = Field((), alias="Entrypoint")
    command: tuple[str, ...] = Field((), alias="Cmd")
    env: tuple[str, ...] = Field((), alias="Env")
    user: str = Field("", alias="User")
    working_dir: str = Field("", alias="WorkingDir")
    healthcheck: dict[str, Any] | None = Field(None, alias="Healthcheck")
    volumes: dict[str, Any] = Field(default_factory=dict, alias="Volumes")
    labels: dict[str, str] = Field(default_factory=dict, alias="Labels")


class Image(_Answer):
    """An image on a node. ``containerd``: Docker keeps images in containerd's store."""

    id: str = Field(alias="Id")
    tags: tuple[str, ...] = Field((), alias="RepoTags")
    digests: tuple[str, ...] = Field((), alias="RepoDigests")
    created: str = Field("", alias="Created")
    size_bytes: int = Field(0, alias="Size")
    config: Configured = Field(alias="Config")
    containerd: bool = Field(False, alias="Containerd")

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Return the shapes that its names may have."""
        names = sorted({*self.tags, *self.digests})
        return tuple({shape.name: shape for name in names for shape in shapes_of(name)}.values())


class MountPoint(_Answer):
    """A mount of a container, as ``docker inspect`` shows it."""

    type: str = Field("", alias="Type")
    name: str = Field("", alias="Name")
    source: str = Field("", alias="Source")
    destination: str = Field(alias="Destination")
    rw: bool = Field(True, alias="RW")

    def __str__(self) -> str:
        """Return the mount as an entry of the policy has it."""
        return f"{self._source}:{self.destination}:{'rw' if self.rw else 'ro'}"

    @property
    def _source(self) -> str:
        """Return where it comes from, as ``choose.pl`` says it."""
        if self.type != "volume":
            return self.source
        return "volume" if re.fullmatch("([0-9a-f]{64})?", self.name) else f"volume={self.name}"


class Container(_Answer):
    """A container on a node, running or not. ``host`` is its ``HostConfig``."""

    id: str = Field(alias="Id")
    name: str = Field(alias="Name")
    image_id: str = Field(alias="Image")
    path: str = Field("", alias="Path")
    args: tuple[str, ...] = Field((), alias="Args")
    running: bool = Field(False, alias="Running")
    config: Configured = Field(alias="Config")
    host: dict[str, Any] = Field(default_factory=dict, alias="HostConfig")
    mounts: tuple[MountPoint, ...] = Field((), alias="Mounts")

    @field_validator("name")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.removeprefix("/")

    @property
    def command(self) -> tuple[str, ...]:
        """Return what runs after the entrypoint: what the judge compares on the node."""
        words = (self.path, *self.args) if self.path else ()
        entrypoint = self.config.entrypoint
        return words[len(entrypoint) :] if words[: len(entrypoint)] == entrypoint else words


@dataclass(frozen=True)
class Pulled:
    """The images and containers of a node that are infrastructure, or may be."""

    images: Mapping[str, Image]
    containers: tuple[Container, ...]

    def to_json(self) -> dict[str, Any]:
        """Return both for ``pyinfra … fact`` and for the command that accepts images."""
        images, containers = self.images.values(), self.containers
        return {
            "images": [item.model_dump(mode="json", by_alias=True) for item in images],
            "containers": [item.model_dump(mode="json", by_alias=True) for item in containers],
        }


def pulled_script(socket: str, wanted: Sequence[str] = ()) -> str:
    """
    Return the shell program that prints them.

    + wanted: ids of images or containers, and names of containers, to print in any case
    """
    names = sorted({name for shape in SHAPES.values() for name in shape.repositories})
    names_of = ("dispatch/choose.pl", "dispatch/pulled.pl")
    text = program("base/json.pl", "base/docker_api.pl", *names_of)
    given = ("pulled", socket, SECRET_NAME, "\n".join(names), "\n".join(wanted))
    return f"{ENVIRONMENT}perl -e {shlex.join([text, *given])}\n"


def parse_pulled(output: Sequence[str]) -> Pulled:
    """
    Return what ``pulled.pl`` printed.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if END not in output:
        last = " ".join(output[-1:])[:60]
        raise ValueError(f"the node's answer is incomplete: it ends with: {last}")
    images, containers = {}, []
    for line in output[: output.index(END)]:
        word, _, text = line.partition(" ")
        if word == "image":
            image = Image.model_validate(json.loads(text))
            images[image.id] = image
        elif word == "container":
            containers.append(Container.model_validate(json.loads(text)))
        else:
            raise ValueError(f"the node's answer is malformed: {line[:60]}")
    return Pulled(images, tuple(containers))


def read_pulled(value: Mapping[str, Any]) -> Pulled:
    """Return what ``Pulled.to_json`` wrote."""
    images = (Image.model_validate(item) for item in value["images"])
    containers = (Container.model_validate(item) for item in value["containers"])
    return Pulled({image.id: image for image in images}, tuple(containers))
