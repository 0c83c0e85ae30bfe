"""The kernel's surface on a node: modules that are never loaded, and settings of it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.operations.parts import bring
from pyinfra_gvisor.operations.sending import sent
from pyinfra_gvisor.parts.kernel.files import SYSCTL_FILE
from pyinfra_gvisor.parts.kernel.plan import plan_kernel
from pyinfra_gvisor.parts.kernel.settings import Kernel, KernelSettings
from pyinfra_gvisor.parts.kernel.state import KernelSurface
from pyinfra_gvisor.parts.plan import PartPlan
from pyinfra_gvisor.settings import Settings


def have(settings: Settings | None) -> None:
    """What a host's settings ask of the kernel, or nothing; to be called in a deploy."""
    if settings is None:
        surface(wanted=None, name="Give the kernel's settings back")
        return
    wanted = settings.part(KernelSettings).kernel
    surface(wanted=wanted, name="Keep parts of the kernel out of reach")


@operation()
def surface(wanted: Kernel | None) -> Generator[PyinfraCommand, None, None]:
    """
    Have modules kept out and settings of the kernel's in force, now and behind every boot, or none.

    + wanted: which; None: nothing of it stays, and settings are again what they were before

    What is loaded is not taken out, and a setting that the kernel lacks is passed over; both are
    said. If the kernel refuses a value, those that were set are put back and the host fails.
    """

    def command(plan: PartPlan) -> PyinfraCommand:
        return sent(
            "kernel.surface",
            "kernel_apply",
            files=plan.files,
            settings="\n".join(f"{key} {value}" for key, value in plan.settings.items()),
            gone="\n".join(plan.gone),
        )

    yield from bring(
        "kernel.surface",
        SYSCTL_FILE,
        lambda node: plan_kernel(node.part(KernelSurface), wanted),
        command,
        settled="the kernel's modules and settings are as declared",
    )
