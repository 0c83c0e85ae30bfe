"""Plan what has to change so that a node's kernel is as declared, or as before this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.parts.kernel.defaults import SYSCTLS
from pyinfra_gvisor.parts.kernel.files import (
    DIRECTORY,
    MODULES_FILE,
    SYSCTL_FILE,
    kept_out_by,
    kernel_files,
)
from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.parts.kernel.state import KernelSurface
from pyinfra_gvisor.parts_common.plan import PartPlan


def plan_kernel(found: KernelSurface, wanted: Kernel | None) -> PartPlan:
    """
    Return the changes after which modules are blocked and sysctls set as declared.

    + wanted: the declared modules and sysctls; None reverts both

    The plan's ``settings`` are all sysctls that we set from now on. One that we set before and that
    is not among them gets its earlier value back. Its ``warnings`` name what has no effect.
    """
    settings = wanted_settings(found, wanted)
    files = kernel_files(wanted.kept_out if wanted else (), settings)
    other = tuple(item for item in files if not item.matches(found.files.get(item.path)))
    gone = tuple(path for path in found.files if path not in {item.path for item in files})
    changed = different_values(found, settings)
    left_over = [key for key in found.before if key not in settings]
    idle = found.kept and not settings
    if not (other or gone or changed or left_over or idle):
        return PartPlan()
    lines = (
        *(f"write {item.path}{_about(item, found)}" for item in other),
        *_value_lines(found, settings, changed),
        *_back_lines(found, left_over),
        *(f"remove {path}" for path in gone),
        *([f"remove {DIRECTORY}"] if idle else ()),
    )
    texts = {**dict.fromkeys(gone), **{item.path: item.text for item in other}}
    return PartPlan(
        "remove" if wanted is None else "apply",
        lines,
        (*_interfaces([*changed, *left_over]), *_warnings(found, wanted, settings)),
        other,
        gone,
        {path: (found.texts.get(path), text) for path, text in texts.items()},
        {key: value for key, value in settings.items() if not _as_good(found, key, value)},
    )


def wanted_settings(found: KernelSurface, wanted: Kernel | None) -> dict[str, str]:
    """
    Return the sysctls of our file, without those that already have a stricter value.

    A sysctl that is in our file stays in it, or ours and another file would alternate.
    """
    declared = found.declared
    return {
        key: value
        for key, value in (wanted.settings if wanted else {}).items()
        if key in declared or not _as_good(found, key, value)
    }


def different_values(found: KernelSurface, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the sysctls that do not have their declared value, with their actual value."""
    return {
        key: found.values[key]
        for key, value in settings.items()
        if found.values.get(key, value) != value and not _as_good(found, key, value)
    }


def _as_good(found: KernelSurface, key: str, value: str) -> bool:
    return found.values.get(key) in stricter(key, value)


def stricter(key: str, value: str) -> tuple[str, ...]:
    """Return the values of a sysctl that are stricter than its declared one."""
    default = SYSCTLS.get(key)
    return default.stricter if default and default.value == value else ()


def _about(item: NodeFile, found: KernelSurface) -> str:
    old = found.texts.get(item.path)
    if old == item.text:
        return ": correct mode and owner"
    if item.path != MODULES_FILE:
        return ""
    names, had = kept_out_by(item.text), kept_out_by(old or "")
    more = [name for name in names if name not in had]
    less = [name for name in had if name not in names]
    said = [f"block {', '.join(more)}"] if more else []
    said += [f"allow {', '.join(less)}"] if less else []
    return ": " + "; ".join(said) if said else ""


def _value_lines(
    found: KernelSurface, settings: Mapping[str, str], changed: Mapping[str, str]
) -> Iterator[str]:
    known = {*SYSCTLS, *found.declared}
    for key, value in settings.items():
        if key in changed:
            yield f"{key}: {changed[key]} -> {value}"
        elif key not in found.values and key not in known:
            yield f"{key}: set to {value}"
        elif key not in found.values:
            yield f"{key}: skipped, this kernel does not have it"


def _back_lines(found: KernelSurface, keys: list[str]) -> Iterator[str]:
    for key in keys:
        now, before = found.values.get(key), found.before[key]
        if now is not None and now != found.written.get(key):
            yield f"{key}: left at {now}, somebody has changed it since we set it"
        elif now != before:
            yield f"{key}: {now or 'our value'} -> {before}, its value before this package"


def _interfaces(keys: Iterable[str]) -> Iterator[str]:
    """Warn: an interface copies the defaults with its first address (Linux net/ipv4/devinet.c)."""
    if any(".conf.default." in key for key in keys):
        yield "interfaces that are already up keep their values until the next boot"


def _warnings(
    found: KernelSurface, wanted: Kernel | None, settings: Mapping[str, str]
) -> Iterator[str]:
    kept_out = wanted.kept_out if wanted else ()
    if kept_out and found.loaded is None:
        yield f"this kernel cannot load modules, so {MODULES_FILE} has no effect on it"
    for name in kept_out:
        if name in (found.loaded or {}):
            used = (found.loaded or {})[name]
            yield f"{name} is loaded (used by {used}) and stays loaded until the next boot"
        elif name in found.builtin:
            yield f"{name} is built into this kernel and cannot be blocked"
    for key, other in found.elsewhere.items():
        wanted_value = settings.get(key, other.value)
        if other.value not in (wanted_value, *stricter(key, wanted_value)):
            yield f"{other.path} sets {key} to {other.value} and is read after {SYSCTL_FILE}"
