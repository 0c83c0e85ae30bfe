"""Blocked modules and sysctls as a part. Only trying shows whether a kernel refuses a value."""

from __future__ import annotations

from pyinfra_gvisor.parts.kernel.settings import KernelSettings
from pyinfra_gvisor.parts.part import Part

PART = Part(
    "kernel",
    "before daemon.json",
    lambda settings: settings.part(KernelSettings).kernel is not None,
    key="kernel",
    title="the blocked kernel modules and sysctls",
)
