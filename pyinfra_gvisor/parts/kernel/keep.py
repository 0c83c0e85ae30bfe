"""How the keeper knows that sysctls have their declared values and no blocked module is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.parts.kernel.files import kernel_files
from pyinfra_gvisor.parts.kernel.plan import stricter, wanted_settings
from pyinfra_gvisor.parts.kernel.settings import KernelSettings
from pyinfra_gvisor.parts.kernel.state import KernelSurface
from pyinfra_gvisor.settings import Settings


def _kept_out(settings: Settings) -> tuple[str, ...]:
    wanted = settings.part(KernelSettings).kernel
    return tuple(wanted.kept_out) if wanted else ()


def _files(node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    wanted = settings.part(KernelSettings).kernel
    return kernel_files(_kept_out(settings), wanted_settings(node.part(KernelSurface), wanted))


def _given(_node: Node, settings: Settings) -> Mapping[str, str]:
    # Also those that our file leaves out because they are stricter now: that may not last.
    wanted = settings.part(KernelSettings).kernel
    lines = (
        "\t".join((_path(key), value, *stricter(key, value)))
        for key, value in (wanted.settings if wanted else {}).items()
    )
    return {"kernel_sysctls": "\n".join(lines), "kernel_blocked": "|".join(_kept_out(settings))}


def _path(key: str) -> str:
    """Return the path below /proc/sys. With slashes, a dot belongs to a name: sysctl.d(5)."""
    return key if "/" in key else key.replace(".", "/")


KEEP = Keep(("parts/kernel/keep",), _files, _given)
