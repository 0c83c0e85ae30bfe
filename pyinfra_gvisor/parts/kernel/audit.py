"""Audit the kernel: are modules blocked and sysctls set as declared?"""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE, kernel_files
from pyinfra_gvisor.parts.kernel.plan import different_values, wanted_settings
from pyinfra_gvisor.parts.kernel.settings import Kernel, KernelSettings
from pyinfra_gvisor.parts.kernel.state import KernelSurface
from pyinfra_gvisor.policy.findings import Severity


def _declared(host: Audited) -> Kernel | None:
    return host.settings.part(KernelSettings).kernel


def _not_declared(host: Audited) -> Iterator[Observation]:
    names = [name for name, one in host.settings.runtimes.items() if one.network == "host"]
    if _declared(host) is None and names:
        runtimes = ", ".join(names)
        yield Observation("gvisor_kernel", f"not set; runtime {runtimes} uses the node's network")


def _files(host: Audited) -> Iterator[Observation]:
    found, wanted = host.node.part(KernelSurface), _declared(host)
    files = kernel_files(wanted.kept_out if wanted else (), wanted_settings(found, wanted))
    for item in files:
        if item.path not in found.files:
            yield Observation(item.path, "the file is missing")
        elif not item.matches(found.files[item.path]):
            same = found.texts.get(item.path) == item.text
            yield Observation(
                item.path, f"its {'mode or owner' if same else 'content'} was changed"
            )
    for path in (MODULES_FILE, SYSCTL_FILE):
        if path in found.files and path not in {item.path for item in files}:
            yield Observation(path, "the file is on the node, but not declared")


def _settings(host: Audited) -> Iterator[Observation]:
    found = host.node.part(KernelSurface)
    wanted = wanted_settings(found, _declared(host))
    for key, value in different_values(found, wanted).items():
        other = found.elsewhere.get(key)
        by = f"; {other.path} sets it" if other and other.value == value else ""
        yield Observation(key, f"{key} is {value}, declared {wanted[key]}{by}")


def _modules(host: Audited) -> Iterator[Observation]:
    found = host.node.part(KernelSurface)
    for name in (_declared(host) or Kernel(modules=())).kept_out:
        if name in (found.loaded or {}):
            yield Observation(name, f"loaded, used by {(found.loaded or {})[name]}")
        elif name in found.builtin:
            yield Observation(name, "built into the kernel, so it cannot be blocked", Severity.INFO)


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "kernel-not-declared",
        Severity.INFO,
        "Sandboxes use the kernel's network, but no kernel modules are blocked and no sysctls set",
        "Set gvisor_kernel = {}: docs/kernel.md",
        _not_declared,
    ),
    Rule(
        "kernel-files",
        Severity.MEDIUM,
        "A file that blocks kernel modules or sets sysctls at boot is not as declared",
        "Run pyinfra-gvisor plan to see how, then pyinfra-gvisor apply",
        _files,
    ),
    Rule(
        "kernel-setting",
        Severity.MEDIUM,
        "A sysctl does not have its declared value",
        "Run pyinfra-gvisor apply, and find out what else sets this sysctl",
        _settings,
    ),
    Rule(
        "kernel-module",
        Severity.MEDIUM,
        "A blocked kernel module is loaded",
        "Reboot the node, or add the module to `needed` of gvisor_kernel",
        _modules,
    ),
)
