"""A runtime as an operator asks for it: typed, and refused where it would undo the sandbox."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pyinfra_gvisor.errors import Problem

# Coolify's option parser cuts values at "-", and dockerd gives these names a meaning of its own:
# https://docs.docker.com/engine/daemon/alternative-runtimes/
RUNTIME_NAME = re.compile(r"[a-z][a-z0-9]*")
# "node" is what the proof calls the machine itself.
RESERVED_RUNTIMES = frozenset({"runc", "node"})


class Runtime(BaseModel):
    """One runtime in ``gvisor_runtimes``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["host", "sandbox", "none"] = "host"
    platform: Literal["systrap", "kvm", "ptrace"] | None = None
    flags: tuple[
        Annotated[str, Field(pattern=r"^--[a-z][a-z0-9-]*(=[A-Za-z0-9._:/,-]*)?$")], ...
    ] = ()

    @field_validator("flags")
    @classmethod
    def _no_typed_flag(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        for flag in flags:
            if flag.split("=")[0] in ("--network", "--platform"):
                raise Problem(f"{flag.split('=')[0]} has a key of its own", got=flag, todo="use it")
        return flags
