"""What an audit sees of a node, in one command: its state, and what containers were given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from pyinfra_gvisor.containers import Container
from pyinfra_gvisor.node import Node, parse_node
from pyinfra_gvisor.reading import Reading

AUDIT_SCRIPTS = ("docker_state", "egress_state", "kernel_state", "audit_state", "node_state")
LEAK_AGE_S = 60  # a younger one may belong to a container that is just being made or removed


class Given(Reading):
    """What a container was given that may undo a sandbox, as Docker has it."""

    image: str = Field("", alias="Image")
    privileged: bool = Field(False, alias="Privileged")
    network_mode: str = Field("", alias="NetworkMode")
    pid_mode: str = Field("", alias="PidMode")
    ipc_mode: str = Field("", alias="IpcMode")
    uts_mode: str = Field("", alias="UTSMode")
    userns_mode: str = Field("", alias="UsernsMode")
    capabilities: tuple[str, ...] = Field((), alias="CapAdd")
    annotations: dict[str, str] = Field(default_factory=dict, alias="Annotations")
    labels: dict[str, str] = Field(default_factory=dict, alias="Labels")
    mounts: tuple[str, ...] = ()

    @field_validator("capabilities", mode="before")
    @classmethod
    def _null_is_none(cls, value: object) -> object:
        return () if value is None else value


class Leak(Reading):
    """A sandbox that belongs to no container of Docker's."""

    pid: int
    age_s: int
    executable: str
    id: str


class File(Reading):
    """A file's mode (octal digits) and owner (``user:group``, by name)."""

    mode: str
    owner: str


class Observed(Reading):
    """
    Everything that an audit judges.

    ``given`` is by container id. ``reloaded_s`` is when dockerd was last seen to read daemon.json
    anew, in seconds since 1970, None if nothing remembers one.
    """

    node: Node
    given: dict[str, Given] = Field(default_factory=dict)
    leaks: tuple[Leak, ...] = ()
    files: dict[str, File] = Field(default_factory=dict)
    reloaded_s: float | None = None

    def given_to(self, container: Container) -> Given:
        """What this container was given; nothing, where Docker did not tell."""
        return self.given.get(container.id, Given.model_validate({}))

    def to_json(self) -> dict[str, Any]:
        """For ``pyinfra … fact``."""
        return self.model_dump(mode="json")


def parse_observed(output: Sequence[str]) -> Observed:
    """
    What the scripts called ``AUDIT_SCRIPTS`` printed.

    Raises ``ValueError`` if it is cut short or malformed.
    """
    node = parse_node(output)
    try:
        return Observed(
            node=node,
            given=dict(_given(line) for line in _of(output, "container")),
            leaks=tuple(leak for line in _of(output, "sandbox") if (leak := _leak(line))),
            files=dict(_file(line) for line in _of(output, "file")),
            reloaded_s=max(
                (float(line) for key in ("event", "log") for line in _of(output, f"reload_{key}")),
                default=None,
            ),
        )
    except (LookupError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"the node's answer is malformed: {error}") from error


def _of(output: Sequence[str], key: str) -> list[str]:
    return [line.removeprefix(f"{key} ") for line in output if line.startswith(f"{key} ")]


def _given(line: str) -> tuple[str, Given]:
    document = json.loads(line)
    mounts = [mount.get("Source") or "" for mount in document.get("Mounts") or ()]
    return document["Id"], Given.model_validate({**document.get("Given", {}), "mounts": mounts})


def _leak(line: str) -> Leak | None:
    pid, age_s, rest = line.split(" ", 2)
    executable, _, identity = rest.partition("\t")
    found = Leak(pid=int(pid), age_s=int(age_s), executable=executable, id=identity)
    return found if found.age_s >= LEAK_AGE_S else None


def _file(line: str) -> tuple[str, File]:
    mode, owner, path = line.split(" ", 2)
    return path, File(mode=mode, owner=owner)
