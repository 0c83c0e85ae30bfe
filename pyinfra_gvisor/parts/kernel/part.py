"""The kernel's surface as a part; what a kernel refuses is only known when it is tried."""

from __future__ import annotations

from pyinfra_gvisor.parts.kernel.settings import KernelSettings
from pyinfra_gvisor.parts.part import Part

PART = Part(
    "kernel",
    "before daemon.json",
    lambda settings: settings.part(KernelSettings).kernel is not None,
)
