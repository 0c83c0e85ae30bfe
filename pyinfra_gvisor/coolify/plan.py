"""Plan what has to change so that Coolify honours ``--runtime``, also after upgrades."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.coolify.compose_file import lines_to_add, merged, removed
from pyinfra_gvisor.coolify.control_host import ComposeFile, ControlHost, Function
from pyinfra_gvisor.coolify.files import (
    COMPOSE,
    CONTAINER,
    ENTRY,
    ENTRY_TARGET,
    KEEPER,
    MOUNTED_PATCHER,
    MOUNTS,
    NAME,
    PATCHER_TARGET,
    SERVICE,
    SOURCE_DIR,
    TIMER,
    idle_entry_text,
    kept_files,
    mounted_files,
)

MOUNTED = (MOUNTED_PATCHER, ENTRY)
OLD_CODE = "restart Horizon, which runs old code, when its running jobs have ended"


@dataclass(frozen=True)
class OptionPlan:
    """The change of Coolify's function, and the lines that describe it."""

    action: Literal["nothing", "apply", "remove"] = "nothing"
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class PersistencePlan:
    """
    The changes of the files of a control host.

    ``compose_before`` and ``compose_after`` are the texts of docker-compose.custom.yml, None for no
    file. ``files`` are written, in order. ``keeps_mounts``: our files are mounted into the
    container, so they stay, without effect.
    """

    action: Literal["nothing", "install", "remove"] = "nothing"
    lines: tuple[str, ...] = ()
    files: tuple[NodeFile, ...] = field(default=(), repr=False)
    compose_before: str | None = field(default=None, repr=False)
    compose_after: str | None = field(default=None, repr=False)
    keeps_mounts: bool = False


def plan_option(found: ControlHost, *, present: bool) -> OptionPlan:
    """
    Return the changes after which Coolify's function passes a runtime on, or is unpatched.

    + present: True to patch the function, False to remove the patch

    Raises ``Problem`` if there is no Coolify, or its source must not be patched.
    """
    if not present and not found.docker_error and found.container is None:
        return OptionPlan()
    function = running_function(found)
    if not present:
        if function.state in ("unpatched", "native"):
            return _only_workers(function, "remove")
        name = f"{function.name}()" if function.name else "the function"
        line = f"remove our lines from {name} in container {CONTAINER}"
        return OptionPlan("remove", (line,))
    if function.state in ("damaged", "missing"):
        raise Problem(
            "unknown version of Coolify's function for Custom Docker Options: "
            f"{function.reason or function.state}",
            got=function.version or None,
            todo="nothing was changed; see docs/coolify.md",
        )
    if function.state == "native":
        _refuse_broken_native(function)
        return OptionPlan()
    if function.state == "patched" and function.block == "present" and function.honours:
        return _only_workers(function, "apply")
    return OptionPlan("apply", tuple(_option_lines(function)))


def _only_workers(function: Function, action: Literal["apply", "remove"]) -> OptionPlan:
    """Return the plan if the source is as declared: only Horizon may still run old code."""
    if not function.stale:
        return OptionPlan()
    if function.asked_s is not None:  # It was told to end, and waits for its deployments.
        line = "Horizon finishes its running deployments first, then loads the new code"
        return OptionPlan("nothing", (line,))
    return OptionPlan(action, (OLD_CODE,))


def _option_lines(function: Function) -> list[str]:
    lines = []
    if function.state == "unpatched":
        lines.append(f"Coolify {function.version} drops --runtime: patch {function.name}()")
    elif function.block == "other":
        lines.append(f"{function.name}() has outdated or edited lines of ours: replace them")
    elif not function.honours:
        lines.append(f"{function.name}() has our lines but drops --runtime: patch it again")
    if function.workers:
        lines.append(OLD_CODE)
    return lines


def _refuse_broken_native(function: Function) -> None:
    if not function.honours:
        raise Problem(
            f"Coolify {function.version} knows --runtime but does not pass it on as one string, so "
            "docker compose would refuse it",
            got=function.probe or function.probe_error,
            todo="use another version of Coolify",
        )


def running_function(found: ControlHost) -> Function:
    """Return the function of the running Coolify. Raises ``Problem`` if none runs on the host."""
    if not found.docker:
        todo = "keep only Coolify's control host in the group coolify"
        raise Problem("no Coolify on this host: Docker is not installed", todo=todo)
    if found.docker_error:
        todo = "run `systemctl start docker` on the control host"
        raise Problem("Docker does not answer", got=found.docker_error, todo=todo)
    if found.container is None:
        todo = "keep only Coolify's control host in the group coolify"
        raise Problem(f"no Coolify on this host: no container is named {CONTAINER}", todo=todo)
    if not found.container.running:
        todo = f"run `docker start {CONTAINER}` on the control host"
        raise Problem("Coolify does not run", todo=todo)
    if found.function is None:
        todo = f"read `docker logs {CONTAINER}` on the control host"
        raise Problem("Coolify's source cannot be read", got=found.function_error, todo=todo)
    return found.function


def plan_persistence(found: ControlHost, *, present: bool) -> PersistencePlan:
    """
    Return the changes after which the patch survives upgrades, or nothing of ours is left.

    Raises ``Problem`` if docker-compose.custom.yml cannot be changed safely, or without systemd.
    """
    text = _compose_text(found.compose, needed=present)
    return _install(found, text) if present else _remove(found, text)


def _install(found: ControlHost, text: str | None) -> PersistencePlan:
    function = running_function(found)
    if function.state == "native":
        return PersistencePlan()  # A downgrade of Coolify may need our files again.
    if not found.source_dir:
        todo = "install Coolify with its own installer, which creates this directory"
        raise Problem(f"{SOURCE_DIR} does not exist", todo=todo)
    if found.init != "systemd":
        todo = "move Coolify to a host with systemd"
        raise Problem("the timer needs systemd on the control host", got=found.init, todo=todo)
    after = merged(text, MOUNTS)
    wanted = (*mounted_files(), *kept_files())
    other = [item for item in wanted if not _is_there(item, found)]
    on = found.timer_enabled and found.timer == "active"
    if not other and after == text and on:
        return PersistencePlan()
    lines = [f"write {item.path}" for item in other]
    if after != text:
        lines.append(f"{'create' if text is None else 'change'} {COMPOSE} for the next upgrade:")
        lines += [f"  {line}" for line in lines_to_add(MOUNTS).splitlines()]
    lines.append(f"start {NAME}.timer")
    return PersistencePlan("install", tuple(lines), wanted, text, after)


def _remove(found: ControlHost, text: str | None) -> PersistencePlan:
    after = None if text is None else removed(text, MOUNTS)
    mounts = found.container.mounts if found.container else ()
    keeps = any(item.target in (ENTRY_TARGET, PATCHER_TARGET) for item in mounts)
    idle = NodeFile(ENTRY, "644", idle_entry_text())
    theirs = (KEEPER, SERVICE, TIMER, *(item.path for item in kept_files()))
    gone = sorted({path for path in theirs if path in found.files})
    left = [path for path in MOUNTED if path in found.files and not keeps]
    stale = keeps and not _is_there(idle, found)
    if not gone and not left and not stale and after == text and not found.timer_enabled:
        return PersistencePlan()
    lines = [f"remove {path}" for path in (*gone, *left)]
    if after != text:
        lines.append(f"remove {COMPOSE if after is None else f'our lines from {COMPOSE}'}")
    if keeps:
        lines.append(
            f"keep {ENTRY} without effect: container {CONTAINER} mounts it and would not start "
            "without it. The first run after Coolify's next upgrade removes it"
        )
    return PersistencePlan("remove", tuple(lines), (idle,), text, after, keeps)


def _is_there(item: NodeFile, found: ControlHost) -> bool:
    """Compare a file; Coolify's installer gives those in /data/coolify to user 9999, mode 700."""
    there = found.files.get(item.path)
    if there is None or item.path not in MOUNTED:
        return item.matches(there)
    readable = int(there.mode or "0", 8) & 0o004 or there.owner.startswith("9999:")
    return there.sha256 == item.sha256 and bool(readable)


def _compose_text(compose: ComposeFile, *, needed: bool) -> str | None:
    if compose.state in ("absent", "text"):
        return compose.text
    lines = f". It must contain these lines:\n{lines_to_add(MOUNTS)}" if needed else ""
    raise Problem(f"{COMPOSE} cannot be read: {compose.state}", todo=f"repair the file{lines}")
