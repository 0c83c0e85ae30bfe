"""The kernel's surface on a node: modules that are never loaded, and settings of it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host, logger
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.facts.node import forget_node, read_node
from pyinfra_gvisor.kernel.files import SYSCTL_FILE
from pyinfra_gvisor.kernel.plan import KernelPlan, plan_kernel
from pyinfra_gvisor.kernel.settings import Kernel
from pyinfra_gvisor.operations.telling import refusal, tell, tell_diff
from pyinfra_gvisor.scripts import script
from pyinfra_gvisor.settings import Settings


def have(settings: Settings | None) -> None:
    """What a host's settings ask of the kernel, or nothing; to be called in a deploy."""
    if settings is None:
        surface(wanted=None, name="Give the kernel's settings back")
        return
    surface(wanted=settings.kernel, name="Keep parts of the kernel out of reach")


@operation()
def surface(wanted: Kernel | None) -> Generator[PyinfraCommand, None, None]:
    """
    Have modules kept out and settings of the kernel's in force, now and behind every boot, or none.

    + wanted: which; None: nothing of it stays, and settings are again what they were before

    What is loaded is not taken out, and a setting that the kernel lacks is passed over; both are
    said. If the kernel refuses a value, those that were set are put back and the host fails.
    """
    node = read_node(host)
    if node is None:
        yield from refusal("kernel.surface", SYSCTL_FILE, None, unreadable=True)
        return
    plan = plan_kernel(node.surface, wanted)
    if plan.action == "nothing":
        host.noop("the kernel's modules and settings are as declared")
        return
    for line in plan.lines:
        tell(line)
    for line in plan.warnings:
        tell(line, logger.warning)
    after = {**dict.fromkeys(plan.gone), **{item.path: item.text for item in plan.files}}
    for path, text in after.items():
        tell_diff(path, node.surface.texts.get(path), text)
    forget_node(host)
    yield _command(plan)


def _command(plan: KernelPlan) -> StringCommand:
    text = script(
        "put_files",
        "kernel_apply",
        host=host.name,
        settings="\n".join(f"{key} {value}" for key, value in plan.settings.items()),
        gone="\n".join(plan.gone),
    )
    words = [word for item in plan.files for word in item.words]
    return StringCommand("sh", "-c", QuoteString(text), "sh", *map(QuoteString, words))
