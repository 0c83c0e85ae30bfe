"""What is looked for in the kernel: modules that are kept out, and settings, as declared."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Rule, Seen
from pyinfra_gvisor.parts.kernel.files import MODULES_FILE, SYSCTL_FILE, kernel_files
from pyinfra_gvisor.parts.kernel.plan import different_values, wanted_settings
from pyinfra_gvisor.parts.kernel.settings import Kernel, KernelSettings
from pyinfra_gvisor.parts.kernel.state import KernelSurface
from pyinfra_gvisor.policy.findings import Severity


def _declared(host: Audited) -> Kernel | None:
    return host.settings.part(KernelSettings).kernel


def _not_declared(host: Audited) -> Iterator[Seen]:
    names = [name for name, one in host.settings.runtimes.items() if one.network == "host"]
    if _declared(host) is None and names:
        yield Seen("gvisor_kernel", f"sockets of the node's kernel: {', '.join(names)}")


def _files(host: Audited) -> Iterator[Seen]:
    found, wanted = host.node.part(KernelSurface), _declared(host)
    files = kernel_files(wanted.kept_out if wanted else (), wanted_settings(found, wanted))
    for item in files:
        if item.path not in found.files:
            yield Seen(item.path, "it is not there")
        elif not item.is_as(found.files[item.path]):
            same = found.texts.get(item.path) == item.text
            yield Seen(item.path, f"its {'mode or owner' if same else 'content'} is another")
    for path in (MODULES_FILE, SYSCTL_FILE):
        if path in found.files and path not in {item.path for item in files}:
            yield Seen(path, "it is there, and nothing of it is declared")


def _settings(host: Audited) -> Iterator[Seen]:
    found = host.node.part(KernelSurface)
    wanted = wanted_settings(found, _declared(host))
    for key, value in different_values(found, wanted).items():
        other = found.elsewhere.get(key)
        by = f"; {other.path} sets it" if other and other.value == value else ""
        yield Seen(key, f"{key} is {value}, declared {wanted[key]}{by}")


def _modules(host: Audited) -> Iterator[Seen]:
    found = host.node.part(KernelSurface)
    for name in (_declared(host) or Kernel(modules=())).kept_out:
        if name in (found.loaded or {}):
            yield Seen(name, f"loaded, used by {(found.loaded or {})[name]}")
        elif name in found.builtin:
            yield Seen(name, "built into the kernel, where no file keeps it out", Severity.INFO)


RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "kernel-not-declared",
        Severity.INFO,
        "sandboxes use the kernel's own network, and nothing is declared of the kernel",
        "set gvisor_kernel = {}: docs/kernel.md",
        _not_declared,
    ),
    Rule(
        "kernel-files",
        Severity.MEDIUM,
        "what the next boot takes for the kernel's modules and settings is not as declared",
        "run deploys/gvisor.py --dry --diff, then without",
        _files,
    ),
    Rule(
        "kernel-setting",
        Severity.MEDIUM,
        "a setting of the kernel's has another value than declared",
        "run deploys/gvisor.py, and see what else sets it",
        _settings,
    ),
    Rule(
        "kernel-module",
        Severity.MEDIUM,
        "a module that is to be kept out is loaded",
        "boot the node anew, or name it in `needed` of gvisor_kernel",
        _modules,
    ),
)
