"""The policy: which containers of a node are infrastructure, so that they run under runc."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from pyinfra_gvisor.dispatch.shapes import SHAPES
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.policy.selectors import Reason

ImageId = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Mount = Annotated[str, StringConstraints(pattern=r"^(volume|/[^:]*):/[^:]*:(ro|rw)$")]


class Infrastructure(Strict):
    """
    A container that runs under runc, told by its image's id and by its whole configuration.

    Labels, names, tags and repository digests are a tenant's to choose, so they never suffice. What
    the entry does not name must be as in the image or unset. ``pyinfra-gvisor accept`` writes
    entries from what is on a node.
    """

    image: ImageId = Field(description="The image's id on the node, not a tag or digest.")
    reason: Reason = Field(description="Why it may run outside of gVisor.")
    shape: Literal[*SHAPES] | None = Field(  # type: ignore[valid-type]
        None,
        description="A known kind of container, which says mounts, name, namespaces and labels. "
        "`None`: this entry says them.",
    )
    entrypoint: tuple[str, ...] = Field((), description="The entrypoint.")
    command: tuple[str, ...] = Field((), description="The command.")
    env: tuple[str, ...] = Field((), description="The environment, each `NAME=value`.")
    env_free: tuple[str, ...] = Field((), description="Variables that may have any value.")
    user: str = Field("", description="The user.")
    working_dir: str = Field("", description="The working directory.")
    healthcheck: dict[str, Any] | None = Field(None, description="The health check.")
    mounts: tuple[Mount, ...] = Field(
        (),
        description="The mounts, each `source:destination:ro` or `…:rw`; `volume` as source is any "
        "volume of Docker.",
    )
    optional_mounts: tuple[Mount, ...] = Field((), description="Mounts that may be missing.")
    name: str = Field("", description="A regular expression for its name. Empty: any name.")
    network: Literal["own", "host"] = Field("own", description="`host`: the node's network.")
    pid: Literal["", "host"] = Field("", description="`host`: the node's PID namespace.")
    capabilities: tuple[str, ...] = Field((), description="Capabilities that are added.")
    extra_hosts: tuple[str, ...] = Field((), description="Host names that are added.")
    auto_remove: bool | None = Field(None, description="Whether it has `--rm`. `None`: either.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels that it must have.")
    without_labels: tuple[str, ...] = Field(
        (), description="Prefixes of labels that it must not have."
    )

    @field_validator("name")
    @classmethod
    def _expression(cls, value: str) -> str:
        # perl reads it: only what means the same in both languages
        if not re.fullmatch(r"[A-Za-z0-9_.*+?|()\[\]{},-]*", value):
            raise Problem("not a plain regular expression", got=value, todo="use letters and .*+?|")
        re.compile(value)
        return value

    @model_validator(mode="before")
    @classmethod
    def _of_shape(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("shape") not in SHAPES:
            return value
        shape = SHAPES[value["shape"]]
        if own := sorted({*shape.fixed} & {*value}):
            todo = f"remove {', '.join(own)}, or remove the shape"
            raise Problem(f"the shape {shape.name} says {', '.join(own)}", todo=todo)
        return {**shape.fixed, **value}

    @property
    def title(self) -> str:
        """Return what to call it in messages."""
        return self.shape or f"image {self.image[:19]}"


@dataclass(frozen=True)
class Dispatch:
    """
    How a node decides which runtime a container gets that asks for none.

    + runtime: the declared runtime of its sandboxes
    + infrastructure: the containers that run under runc
    """

    runtime: str
    infrastructure: tuple[Infrastructure, ...]

    def to_perl(self) -> dict[str, Any]:
        """Return the policy as ``choose.pl`` reads it."""
        return {
            "entries": [
                {**item.model_dump(exclude={"shape"}), "title": item.title}
                for item in self.infrastructure
            ],
            "shapes": [
                {
                    "name": shape.name,
                    "repositories": list(shape.repositories),
                    "mounts": list(shape.mounts),
                }
                for shape in SHAPES.values()
            ],
        }
