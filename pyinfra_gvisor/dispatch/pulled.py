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
from pyinfra_gvisor.base.scripts import DOCKER_ANSWERS, ENVIRONMENT, program
from pyinfra_gvisor.dispatch.shapes import SHAPES, Shape, shapes_of
from pyinfra_gvisor.judge import container as judge
from pyinfra_gvisor.judge.infrastructure import OPTIONS

END = "end of images"
SHORT_ID = 12  # digits, as docker images shows them
IS_DIGITS = re.compile("(sha256:)?[0-9a-f]+")  # what may be an id, so never the name of a container


class Answer(Reading):
    """An answer of Docker's, in which null stands for an empty value."""

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in value.items() if item is not None}


class Configured(Answer):
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
    shell: tuple[str, ...] = Field((), alias="Shell")
    stdin: bool = Field(False, alias="OpenStdin")
    tty: bool = Field(False, alias="Tty")
    volumes: dict[str, Any] = Field(default_factory=dict, alias="Volumes")
    labels: dict[str, str] = Field(default_factory=dict, alias="Labels")


class Image(Answer):
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


# As opts.json and as Docker's API name them: moby, daemon/volume/local.
_VOLUME_OPTIONS = (("Type", "type"), ("Opts", "o"), ("Device", "device"))


class MountPoint(Answer):
    """A mount of a container, as ``docker inspect`` shows it, with the options of its volume."""

    type: str = Field("", alias="Type")
    name: str = Field("", alias="Name")
    source: str = Field("", alias="Source")
    destination: str = Field(alias="Destination")
    driver: str = Field("", alias="Driver")
    options: dict[str, str] = Field(default_factory=dict, alias="Options")
    rw: bool = Field(True, alias="RW")

    def __str__(self) -> str:
        """Return the mount as an entry of the policy has it."""
        return str(self.judged)

    @property
    def judged(self) -> judge.Mount:
        """Return the mount as the judge sees it."""
        options = {f"Mount{key}": self.options.get(name, "") for key, name in _VOLUME_OPTIONS}
        return judge.Mount(
            *(self.destination, self.source, self.type, self.name, self.driver),
            writable=self.rw,
            options=options if options["MountDevice"] else {},
        )


class Container(Answer):
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
        words, entrypoint = self.judged.program, self.config.entrypoint
        return words[len(entrypoint) :] if words[: len(entrypoint)] == entrypoint else words

    @property
    def judged(self) -> judge.Container:
        """Return the container as the judge sees it."""
        return judge.Container(
            *(self.id, self.name, self.image_id),
            program=(self.path, *self.args) if self.path else (),
            mounts=tuple(mount.judged for mount in self.mounts),
            secrets=False,  # only a task of swarm has them
            config=self.config.model_dump(by_alias=True),
            host=self.host,
        )


@dataclass(frozen=True)
class Pulled:
    """
    The images and containers of a node that are infrastructure, or may be.

    ``names``: of all containers, for who mistypes one
    """

    images: Mapping[str, Image]
    containers: tuple[Container, ...]
    names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return both for ``pyinfra … fact`` and for the command that accepts images."""
        images, containers = self.images.values(), self.containers
        return {
            "images": [item.model_dump(mode="json", by_alias=True) for item in images],
            "containers": [item.model_dump(mode="json", by_alias=True) for item in containers],
            "names": self.names,
        }


def pulled_script(socket: str, wanted: Sequence[str] = ()) -> str:
    """
    Return the shell program that prints them.

    + wanted: ids of images or containers, and names of containers, to print in any case
    """
    names = sorted({name for shape in SHAPES.values() for name in shape.repositories})
    text = program(*DOCKER_ANSWERS, "dispatch/pulled.pl")
    given = ("pulled", socket, SECRET_NAME, "\n".join(names), "\n".join(wanted), "\n".join(OPTIONS))
    return f"{ENVIRONMENT}perl -e {shlex.join([text, *given])}\n"


def parse_pulled(output: Sequence[str]) -> Pulled:
    """
    Return what ``pulled.pl`` printed.

    Raises ``ValueError`` if the answer is cut short or malformed.
    """
    if END not in output:
        last = " ".join(output[-1:])[:60]
        raise ValueError(f"the node's answer is incomplete: it ends with: {last}")
    images, containers, names = {}, [], []
    for line in output[: output.index(END)]:
        word, _, text = line.partition(" ")
        if word == "image":
            image = Image.model_validate(json.loads(text))
            images[image.id] = image
        elif word == "container":
            containers.append(Container.model_validate(json.loads(text)))
        elif word == "name":
            names.append(str(json.loads(text)["Name"]).removeprefix("/"))
        else:
            raise ValueError(f"the node's answer is malformed: {line[:60]}")
    return Pulled(images, tuple(containers), tuple(names))


def read_pulled(value: Mapping[str, Any]) -> Pulled:
    """Return what ``Pulled.to_json`` wrote."""
    images = (Image.model_validate(item) for item in value["images"])
    containers = (Container.model_validate(item) for item in value["containers"])
    return Pulled({image.id: image for image in images}, tuple(containers), tuple(value["names"]))
