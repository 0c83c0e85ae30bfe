"""The ``gvisor_kernel`` key: modules kept out, and settings of the kernel's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Strict
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
    """What of the kernel's surface is taken away."""

    modules: tuple[str, ...] | None = Field(
        tuple(MODULES),
        description="Modules that are never loaded; `[]` or `None`: none.",
    )
    also: tuple[str, ...] = Field(
        (), description="Modules that are kept out besides, such as `esp4`."
    )
    needed: tuple[str, ...] = Field(
        (), description="Modules of `modules` that this node has use for, such as `sctp`."
    )
    sysctls: dict[str, Value] | None = Field(
        default_factory=dict,
        description="Settings beside or instead of those below, such as "
        '`{"kernel.io_uring_disabled": 1}`; a key of `None` is left alone. `None`: no setting is '
        "touched.",
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
                raise Problem("one key in two forms", got=key, todo="write it once")
            found[key] = None if given is None else may_be_set(key, sysctl_value(given))
        return None if value is None else found

    @model_validator(mode="after")
    def _all_needed_are_kept_out(self) -> Kernel:
        for name in self.needed:
            if name not in {*(self.modules or ()), *self.also}:
                todo = "leave it out of `needed`"
                raise Problem("a module that is not kept out anyway", got=name, todo=todo)
        return self

    @property
    def kept_out(self) -> tuple[str, ...]:
        """Every module that is not to be loaded, sorted."""
        return tuple(sorted({*(self.modules or ()), *self.also} - {*self.needed}))

    @property
    def settings(self) -> dict[str, str]:
        """Every setting as it is to be, by key, sorted."""
        if self.sysctls is None:
            return {}
        defaults = {key: item.value for key, item in SYSCTLS.items()}
        merged = {**defaults, **self.sysctls}
        return {key: str(value) for key, value in sorted(merged.items()) if value is not None}


class KernelSettings(Strict):
    """The one key about the kernel."""

    kernel: Kernel | None = Field(
        None,
        description="Modules of the kernel's that are kept out, and settings of it: "
        "docs/kernel.md. `{}`: those that no run node needs. `None`: nothing of it is on the node.",
    )


SETTINGS = KernelSettings
