"""The ``gvisor_kernel`` key: kernel modules to block, and sysctls to set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.parts.kernel.defaults import MODULES, SYSCTLS
from pyinfra_gvisor.parts.kernel.names import (
    may_be_kept_out,
    may_be_set,
    module_name,
    sysctl_key,
    sysctl_value,
)

Value = Annotated[int, Field(strict=True)] | str | None


class Kernel(Strict):
    """Kernel modules to block and sysctls to set on a node."""

    modules: tuple[str, ...] | None = Field(
        tuple(MODULES),
        description="Modules that are blocked. `[]` or `None`: none.",
    )
    also: tuple[str, ...] = Field(
        (), description="Further modules that are blocked, such as `esp4`."
    )
    needed: tuple[str, ...] = Field(
        (), description="Modules of these that the node needs, such as `sctp`: they stay allowed."
    )
    sysctls: dict[str, Value] | None = Field(
        default_factory=dict,
        description="Sysctls in addition to the defaults or instead of them, such as "
        '`{"kernel.io_uring_disabled": 1}`. A key with the value `None` is not set. `None` instead '
        "of a mapping: no sysctl is set.",
    )

    @field_validator("modules", "also")
    @classmethod
    def _modules(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        return tuple(dict.fromkeys(may_be_kept_out(module_name(text)) for text in value))

    @field_validator("needed")
    @classmethod
    def _needed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(module_name(text) for text in value)

    @field_validator("sysctls")
    @classmethod
    def _sysctls(cls, value: dict[str, Value] | None) -> dict[str, Value] | None:
        found: dict[str, Value] = {}
        for text, given in (value or {}).items():
            key = sysctl_key(text)
            if key in found:
                raise Problem("the sysctl is given twice", got=key, todo="write it once")
            found[key] = None if given is None else may_be_set(key, sysctl_value(given))
        return None if value is None else found

    @model_validator(mode="after")
    def _all_needed_are_kept_out(self) -> Kernel:
        for name in self.needed:
            if name not in {*(self.modules or ()), *self.also}:
                todo = "remove it from `needed`"
                raise Problem("`needed` names a module that is not blocked", got=name, todo=todo)
        return self

    @property
    def kept_out(self) -> tuple[str, ...]:
        """Return every module to block, sorted."""
        return tuple(sorted({*(self.modules or ()), *self.also} - {*self.needed}))

    @property
    def settings(self) -> dict[str, str]:
        """Return the declared sysctls by key, sorted."""
        if self.sysctls is None:
            return {}
        defaults = {key: item.value for key, item in SYSCTLS.items()}
        merged = {**defaults, **self.sysctls}
        return {key: str(value) for key, value in sorted(merged.items()) if value is not None}


class KernelSettings(Strict):
    """The one key of the kernel part."""

    kernel: Kernel | None = Field(
        None,
        description="Kernel modules to block and sysctls to set: docs/kernel.md. `{}`: the "
        "defaults. `None`: none.",
    )


SETTINGS = KernelSettings
