"""Block kernel modules and set sysctls on a node, or revert both."""

from __future__ import annotations

from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.parts.kernel.files import SYSCTL_FILE
from pyinfra_gvisor.parts.kernel.plan import plan_kernel
from pyinfra_gvisor.parts.kernel.settings import Kernel, KernelSettings
from pyinfra_gvisor.parts.kernel.state import KernelSurface
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.settings import Settings


def apply(settings: Settings) -> None:
    """Block the modules and set the sysctls that a host's settings declare. Called by a deploy."""
    wanted = settings.part(KernelSettings).kernel
    surface(wanted=wanted, name="Block kernel modules and set sysctls")


def remove(_settings: Settings | None) -> None:
    """Allow the blocked modules and revert the sysctls. Called by a deploy."""
    surface(wanted=None, name="Allow blocked kernel modules and revert sysctls")


@operation()
def surface(wanted: Kernel | None) -> Commands:
    """
    Block kernel modules and set sysctls, now and after every boot, or revert both.

    + wanted: the modules and sysctls; None removes our files and restores the earlier sysctl values

    A module that is already loaded stays loaded, and a sysctl that the kernel lacks is skipped;
    the output names both. If the kernel refuses a value, the sysctls set by this run are restored
    and the host fails.
    """

    def command(plan: PartPlan) -> PyinfraCommand:
        return run_script(
            "kernel.surface",
            "parts/kernel/apply",
            change="apply" if wanted else "remove",
            files=plan.files,
            settings="\n".join(f"{key} {value}" for key, value in plan.settings.items()),
            gone="\n".join(plan.removed),
        )

    yield from converge(
        "kernel.surface",
        SYSCTL_FILE,
        lambda node: plan_kernel(node.part(KernelSurface), wanted),
        command,
        settled="kernel modules and sysctls are as declared",
    )
