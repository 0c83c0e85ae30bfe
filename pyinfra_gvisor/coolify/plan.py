"""What to do so that Coolify's control host honours ``--runtime``, and goes on to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

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
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node_files import NodeFile

MOUNTED = (MOUNTED_PATCHER, ENTRY)
OLD_CODE = "end Horizon gracefully, which has old code: its supervisor starts it anew"


@dataclass(frozen=True)
class OptionPlan:
    """What is done to Coolify's function, and what is told of it."""

    action: Literal["nothing", "apply", "remove"] = "nothing"
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class PersistencePlan:
    """
    What is done to the files of a control host.

    ``compose_before`` and ``compose_after`` are docker-compose.custom.yml, None for no file;
    ``files`` are written, in order. ``keeps_mounts``: the container has ours mounted, so the
    mounted files stay, and do nothing.
    """

    action: Literal["nothing", "install", "remove"] = "nothing"
    lines: tuple[str, ...] = ()
    files: tuple[NodeFile, ...] = field(default=(), repr=False)
    compose_before: str | None = field(default=None, repr=False)
    compose_after: str | None = field(default=None, repr=False)
    keeps_mounts: bool = False


def plan_option(found: ControlHost, *, present: bool) -> OptionPlan:
    """
    What to do so that Coolify's function hands a runtime on, or is as Coolify ships it.

    Raises ``Problem`` where there is no Coolify, or one whose source we may not touch.
    """
    if not present and not found.docker_error and found.container is None:
        return OptionPlan()
    function = running_function(found)
    if not present:
        if function.state in ("unpatched", "native"):
            return _only_workers(function, "remove")
        line = f"take our lines out of {function.name or 'the function'} in {CONTAINER}"
        return OptionPlan("remove", (line,))
    if function.state in ("damaged", "missing"):
        raise Problem(
            "the function that makes compose of Custom Docker Options is not as we know it: "
            f"{function.reason or function.state}",
            got=function.version or None,
            todo="nothing was changed; see docs/coolify.md for what can be done",
        )
    if function.state == "native":
        _refuse_broken_native(function)
        return OptionPlan()
    if function.state == "patched" and function.block == "present" and function.honours:
        return _only_workers(function, "apply")
    return OptionPlan("apply", tuple(_option_lines(function)))


def _only_workers(function: Function, action: Literal["apply", "remove"]) -> OptionPlan:
    """Where the source is as declared: whether Horizon has it too."""
    if not function.stale:
        return OptionPlan()
    if function.asked_s is not None:  # it ends when its deployments have
        line = "Horizon ends its running deployments first, and takes the new code then"
        return OptionPlan("nothing", (line,))
    return OptionPlan(action, (OLD_CODE,))


def _option_lines(function: Function) -> list[str]:
    lines = []
    if function.state == "unpatched":
        lines.append(f"Coolify {function.version} drops --runtime: put it into {function.name}()")
    elif function.block == "other":
        lines.append(f"{function.name}() has older or edited lines of ours: replace them")
    elif not function.honours:
        lines.append(f"{function.name}() has our lines and does not hand a runtime on: mend it")
    if function.workers:
        lines.append(OLD_CODE)
    return lines


def _refuse_broken_native(function: Function) -> None:
    if not function.honours:
        raise Problem(
            f"Coolify {function.version} knows --runtime and does not hand it on as one string",
            got=function.probe or function.probe_error,
            todo="compose would refuse that; use another version of Coolify",
        )


def running_function(found: ControlHost) -> Function:
    """The function of the Coolify that runs there. Raises ``Problem`` where none does."""
    if not found.docker:
        todo = "run this on the control host only, and leave other hosts out of the group coolify"
        raise Problem("no Coolify here: Docker is not installed", todo=todo)
    if found.docker_error:
        raise Problem("Docker does not answer", got=found.docker_error, todo="start it")
    if found.container is None:
        todo = "run this on the control host only, and leave other hosts out of the group coolify"
        raise Problem(f"no Coolify here: there is no container called {CONTAINER}", todo=todo)
    if not found.container.running:
        raise Problem("Coolify does not run", todo=f"start it: docker start {CONTAINER}")
    if found.function is None:
        what = "Coolify's source cannot be looked at"
        raise Problem(what, got=found.function_error, todo=f"look at docker logs {CONTAINER}")
    return found.function


def plan_persistence(found: ControlHost, *, present: bool) -> PersistencePlan:
    """
    What to do so that the option outlives upgrades, or that nothing of ours is left.

    Raises ``Problem`` where docker-compose.custom.yml cannot be merged safely, or without systemd.
    """
    text = _compose_text(found.compose, needed=present)
    return _install(found, text) if present else _remove(found, text)


def _install(found: ControlHost, text: str | None) -> PersistencePlan:
    function = running_function(found)
    if function.state == "native":
        return PersistencePlan()  # what an earlier version left may be needed again
    if not found.source_dir:
        todo = "Coolify's installer makes it; install Coolify as its documentation says"
        raise Problem(f"there is no {SOURCE_DIR}", todo=todo)
    if found.init != "systemd":
        raise Problem("the timer needs systemd", got=found.init, todo="use a host with systemd")
    after = merged(text, MOUNTS)
    wanted = (*mounted_files(), *kept_files())
    other = [item for item in wanted if not _is_there(item, found)]
    on = found.timer_enabled and found.timer == "active"
    if not other and after == text and on:
        return PersistencePlan()
    lines = [f"write {item.path}" for item in other]
    if after != text:
        lines.append(f"{COMPOSE}: {'new' if text is None else 'changed'}, for the next upgrade:")
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
        lines.append(f"{COMPOSE}: {'removed' if after is None else 'our lines are taken out'}")
    if keeps:
        what = f"{CONTAINER} has it mounted and would not start without; goes once it is recreated"
        lines.append(f"leave {ENTRY}, which does nothing any more: {what}")
    return PersistencePlan("remove", tuple(lines), (idle,), text, after, keeps)


def _is_there(item: NodeFile, found: ControlHost) -> bool:
    """Coolify's installer gives all below /data/coolify to the container's user, mode 700."""
    there = found.files.get(item.path)
    if there is None or item.path not in MOUNTED:
        return item.is_as(there)
    readable = int(there.mode or "0", 8) & 0o004 or there.owner.startswith("9999:")
    return there.sha256 == item.sha256 and bool(readable)


def _compose_text(compose: ComposeFile, *, needed: bool) -> str | None:
    if compose.state in ("absent", "text"):
        return compose.text
    lines = f"; these are the lines:\n{lines_to_add(MOUNTS)}" if needed else ""
    raise Problem(f"{COMPOSE} cannot be read: {compose.state}", todo=f"mend it{lines}")
