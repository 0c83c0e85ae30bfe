"""What has to be done so that a node's kernel is as declared, or as it was before us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyinfra_gvisor.node_files import NodeFile
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
from pyinfra_gvisor.parts.plan import PartPlan


def plan_kernel(found: KernelSurface, wanted: Kernel | None) -> PartPlan:
    """
    What to do so that modules and settings are as declared.

    + wanted: None for none of it

    The plan's ``settings`` are all that are ours from now on. What was ours before and is not in
    them gets its earlier value back. Its ``warnings`` are what it does not help against.
    """
    settings = wanted_settings(found, wanted)
    files = kernel_files(wanted.kept_out if wanted else (), settings)
    other = tuple(item for item in files if not item.is_as(found.files.get(item.path)))
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
        "remove" if wanted is None else "have",
        lines,
        (*_interfaces([*changed, *left_over]), *_warnings(found, wanted, settings)),
        other,
        gone,
        {path: (found.texts.get(path), text) for path, text in texts.items()},
        {key: value for key, value in settings.items() if not _as_good(found, key, value)},
    )


def wanted_settings(found: KernelSurface, wanted: Kernel | None) -> dict[str, str]:
    """
    The settings of our file. One that is set more strictly by somebody else is left to them.

    Once it is in our file it stays there, or the two would take turns.
    """
    declared = found.declared
    return {
        key: value
        for key, value in (wanted.settings if wanted else {}).items()
        if key in declared or not _as_good(found, key, value)
    }


def different_values(found: KernelSurface, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings that are not as they have to be now, with what they are."""
    return {
        key: found.values[key]
        for key, value in settings.items()
        if found.values.get(key, value) != value and not _as_good(found, key, value)
    }


def _as_good(found: KernelSurface, key: str, value: str) -> bool:
    return found.values.get(key) in _stricter(key, value)


def _stricter(key: str, value: str) -> tuple[str, ...]:
    default = SYSCTLS.get(key)
    return default.stricter if default and default.value == value else ()


def _about(item: NodeFile, found: KernelSurface) -> str:
    old = found.texts.get(item.path)
    if old == item.text:
        return ": mode and owner"
    if item.path != MODULES_FILE:
        return ""
    names, had = kept_out_by(item.text), kept_out_by(old or "")
    more = [name for name in names if name not in had]
    less = [name for name in had if name not in names]
    said = [f"keep out {', '.join(more)}"] if more else []
    said += [f"no longer {', '.join(less)}"] if less else []
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
            yield f"{key}: this kernel has no such setting, it is passed over"


def _back_lines(found: KernelSurface, keys: list[str]) -> Iterator[str]:
    for key in keys:
        now, before = found.values.get(key), found.before[key]
        if now is not None and now != found.written.get(key):
            yield f"{key}: left at {now}, which is not what we set it to"
        elif now != before:
            yield f"{key}: {now or 'what we set it to'} -> {before}, as it was before us"


def _interfaces(keys: Iterable[str]) -> Iterator[str]:
    """With its first address an interface has settings of its own: net/ipv4/devinet.c of Linux."""
    if any(".conf.default." in key for key in keys):
        yield "interfaces that are up already keep what they have until the next boot"


def _warnings(
    found: KernelSurface, wanted: Kernel | None, settings: Mapping[str, str]
) -> Iterator[str]:
    kept_out = wanted.kept_out if wanted else ()
    if kept_out and found.loaded is None:
        yield f"this kernel loads no modules: {MODULES_FILE} has no effect until there is another"
    for name in kept_out:
        if name in (found.loaded or {}):
            used = (found.loaded or {})[name]
            yield f"{name} is loaded (used by {used}); it stays until the next boot"
        elif name in found.builtin:
            yield f"{name} is built into this kernel, and cannot be kept out"
    for key, other in found.elsewhere.items():
        wanted_value = settings.get(key, other.value)
        if other.value not in (wanted_value, *_stricter(key, wanted_value)):
            yield f"{other.path} sets {key} to {other.value}, and is read behind {SYSCTL_FILE}"
