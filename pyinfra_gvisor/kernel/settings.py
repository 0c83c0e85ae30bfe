"""The ``gvisor_kernel`` key: modules kept out, and settings of the kernel's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Kernel(BaseModel):
    """What of the kernel's surface is taken away."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KernelSettings(BaseModel):
    """The one key about the kernel."""

    kernel: Kernel | None = Field(
        None,
        description="Modules of the kernel's that are kept out, and settings of it: "
        "docs/kernel.md. `{}`: those that no run node needs. `None`: nothing of it is on the node.",
    )
