"""The policy: which containers of a node are infrastructure, so that they run under runc."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import PatternText, Strict
from pyinfra_gvisor.dispatch.shapes import COMPOSE_LABELS, PROJECT, PROJECT_DIR, SHAPES, Shape
from pyinfra_gvisor.judge.infrastructure import EXACT, runs_commands
from pyinfra_gvisor.policy.selectors import Reason

ImageId = Annotated[
    str,
    PatternText(
        "sha256:[0-9a-f]{64}",
        "an image id",
        "write the id that docker image inspect --format {{.Id}} shows on the node; a name, a tag "
        "or a repository digest is not enough",
    ),
]
Mount = Annotated[
    str,
    PatternText(
        "(volume(=[A-Za-z0-9][A-Za-z0-9_.-]*)?|tmpfs|/[^:]*):/[^:]*:(ro|rw)",
        "a mount",
        "write <source>:<destination>:ro, or :rw, with absolute paths. For a volume of Docker the "
        "source is volume=<name>, or volume without a name. For files in memory it is tmpfs",
    ),
]
Port = Annotated[
    str,
    PatternText(
        r"all|((\[[0-9a-f:.]+\]|[0-9.]+):)?([0-9]+(-[0-9]+)?)?:[0-9]+/(tcp|udp|sctp)",
        "a published port",
        "write all, or [<address>:]<port of the node>:<port>/tcp, such as 127.0.0.1:8080:80/tcp",
    ),
]
Variable = Annotated[str, PatternText(r"[^=]+=[\s\S]*", "a variable", "write <name>=<value>")]
VariableName = Annotated[str, PatternText("[^=]+", "the name of a variable", "write only the name")]

_RARE = (
    "capabilities",
    "extra_hosts",
    "groups",
    "options",
    "ports",
    "stdin",
    "tty",
)  # two hundred entries have to fit into one command
EXTENDED = ("env_free", "optional_mounts")
"""Keys of an entry that are added to those of its shape."""


class Infrastructure(Strict):
    """
    A container that runs under runc, told by its image's id and by its whole configuration.

    Labels, names, tags and repository digests are a tenant's to choose, so they never suffice. What
    the entry does not name must be as in the image or unset. ``pyinfra-gvisor accept`` writes
    entries from what is on a node.
    """

    image: ImageId = Field(description="The image's id on the node; no tag or digest.")
    reason: Reason = Field(description="Why it may run outside of gVisor.")
    shape: Literal[*SHAPES] | None = Field(  # type: ignore[valid-type]
        None,
        description="A known kind of container, which sets mounts, name, namespaces and labels.",
    )
    entrypoint: tuple[str, ...] = Field((), description="What the container must have.")
    command: tuple[str, ...] = Field((), description="What the container must have.")
    env: tuple[Variable, ...] = Field((), description="Its environment, each `NAME=value`.")
    env_free: tuple[VariableName, ...] = Field(
        (),
        description="Variables with any value; added to the shape's.",
    )
    user: str = Field("", description="What the container must have.")
    working_dir: str = Field("", description="What the container must have.")
    healthcheck: dict[str, Any] | None = Field(None, description="What the container must have.")
    mounts: tuple[Mount, ...] = Field(
        (),
        description="Each `source:destination:ro` or `…:rw`. The source of Docker's volumes is "
        "`volume=NAME`, or `volume` without a name. No sandbox may mount a volume with `rw` here.",
    )
    optional_mounts: tuple[Mount, ...] = Field(
        (),
        description="Mounts that may be missing; added to the shape's.",
    )
    name: str = Field("", description="A regular expression for its name. Empty: any.")
    network: Literal["own", "host"] = Field("own", description="`host`: the node's network.")
    pid: Literal["", "host"] = Field("", description="`host`: the node's PID namespace.")
    capabilities: tuple[str, ...] = Field((), description="What is added for the container.")
    extra_hosts: tuple[str, ...] = Field((), description="What is added for the container.")
    groups: tuple[str, ...] = Field((), description="What is added for the container.")
    ports: tuple[Port, ...] | None = Field(
        None,
        description="Published ports, as `docker run --publish` takes them, with `/tcp` or `/udp`; "
        "or `all`. `None`: any.",
    )
    stdin: bool = Field(False, description="Whether the container has it.")
    tty: bool = Field(False, description="Whether the container has it.")
    options: dict[Literal[*EXACT], Any] = Field(  # type: ignore[valid-type]
        default_factory=dict,
        description="What the container must have of these keys, as `HostConfig` of `docker "
        "inspect` shows them. What is not named must be unset.",
    )
    auto_remove: bool | None = Field(None, description="Whether it has `--rm`. `None`: either.")
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels that it must have. From compose: "
        "`com.docker.compose.project.working_dir`, better also `…project.config_files`.",
    )
    without_labels: tuple[str, ...] = Field(
        (),
        description="Prefixes of labels that it must not have. Not from compose: "
        "`com.docker.compose.`.",
    )

    @field_validator("env_free")
    @classmethod
    def _harmless(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if found := [name for name in value if runs_commands(name)]:
            what = "programs can run commands from this variable, so it must not be in env_free"
            todo = "remove the variable, or set its value in env"
            raise Problem(what, got=", ".join(found), todo=todo)
        return value

    @field_validator("name")
    @classmethod
    def _expression(cls, value: str) -> str:
        # perl reads it: only what means the same in both languages
        todo = "use letters, digits, brackets and . * + ? |"
        if not re.fullmatch(r"[A-Za-z0-9_.*+?|()\[\]{},-]*", value) or "(?" in value:
            raise Problem("not a plain regular expression", got=value, todo=todo)
        try:
            re.compile(value)
        except re.error as error:
            raise Problem(f"not a regular expression: {error}", got=value, todo=todo) from error
        return value

    @model_validator(mode="before")
    @classmethod
    def _of_shape(cls, value: Any) -> Any:
        name = value.get("shape") if isinstance(value, dict) else None
        if not isinstance(name, str) or name not in SHAPES:
            return value
        shape = SHAPES[name]
        if own := sorted({*shape.fixed} & {*value} - {*EXTENDED}):
            todo = f"remove {', '.join(own)}, or remove the key shape"
            raise Problem(f"the kind {shape.name} already sets {', '.join(own)}", todo=todo)
        added = {
            key: (*shape.fixed.get(key, ()), *value[key])
            for key in EXTENDED
            if isinstance(value.get(key), list | tuple)
        }
        return {**shape.fixed, **value, **added}

    @model_validator(mode="after")
    def _of_a_known_project(self) -> Infrastructure:
        """Refuse an entry of any compose project: the node sees no hook, and no file of compose."""
        is_none = any(PROJECT.startswith(prefix) for prefix in self.without_labels)
        if is_none or PROJECT_DIR in self.labels:  # a compose file can choose the project's name
            return self
        raise Problem(
            "the entry allows every compose project, so any compose file could run commands in the "
            "container, with post_start or configs",
            got=f"labels {', '.join(self.labels) or 'none'}, without_labels "
            + (", ".join(self.without_labels) or "none"),
            todo=f'add "without_labels": ["{COMPOSE_LABELS[0]}"], or, if compose starts it, add '
            f"its label {PROJECT_DIR} to labels",
        )

    def written(self) -> dict[str, Any]:
        """Return the entry as JSON, without what its shape says and without defaults."""
        shape = SHAPES[self.shape].fixed if self.shape else {}
        given = self.model_dump(mode="json", exclude_defaults=True)
        for key in {*shape} - {*EXTENDED}:
            given.pop(key, None)
        for key in EXTENDED:
            given[key] = [item for item in given.get(key, ()) if item not in shape.get(key, ())]
        return {key: value for key, value in given.items() if value != [] or key not in EXTENDED}

    @property
    def unset(self) -> tuple[str, ...]:
        """Return the keys that few entries have and that this one does not: the judge knows."""
        fields = type(self).model_fields
        return tuple(
            key
            for key in _RARE
            if getattr(self, key) == fields[key].get_default(call_default_factory=True)
        )

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
    + takes_runc: containers that ask for runc are handled in the same way, and builds too
    + door: as in the settings
    """

    runtime: str
    infrastructure: tuple[Infrastructure, ...]
    takes_runc: bool = False
    door: str = "off"

    def rules(self) -> dict[str, Any]:
        """Return the policy as the judge reads it."""
        return {
            "entries": [
                {**item.model_dump(exclude={"shape", *item.unset}), "title": item.title}
                for item in self.infrastructure
            ],
            "shapes": [
                {
                    "name": shape.name,
                    "repositories": list(shape.repositories),
                    "mounts": list(shape.mounts),
                    "recorded": shape.recorded,
                    "fixed": _fixed(shape) if shape.recorded else {},
                }
                for shape in SHAPES.values()
            ],
        }


def _fixed(shape: Shape) -> dict[str, Any]:
    """Return what a container of a recorded shape may ask for before anybody has accepted it."""
    return dict(shape.fixed) or {"optional_mounts": shape.mounts}
