"""Plan what has to change so that our program has the place of runc, or gives it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.dispatch.programs import ASIDE
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.divert.files import PROGRAM, divert_files
from pyinfra_gvisor.parts.divert.state import DivertState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.runtimes.wrappers import dispatcher
from pyinfra_gvisor.sandbox.verdict import RUNTIMES_DIR
from pyinfra_gvisor.settings import Settings

SCRIPT_MAX_BYTES = 65536  # runc is larger, our program and other scripts are smaller
NAMESPACE = "moby"  # of dockerd's containers in containerd, by which runc.sh knows them
_OPTIONS = ("containerd-namespace", "containerd-plugins-namespace")


@dataclass(frozen=True)
class Wanted:
    """
    What must have the place of runc.

    + dispatcher: path of the default runtime's wrapper
    + dockerd: the unit of dockerd
    """

    dispatcher: str
    dockerd: str


def declared_divert(settings: Settings, node: Node) -> Wanted | None:
    """Return what a host's settings declare; None if they leave runc alone."""
    if settings.default != "sandbox-all" or settings.dispatch is None:
        return None
    found = dispatcher(settings.release, settings.runtimes, settings.dispatch)
    return Wanted(found.path, node.supervisor.unit or "docker.service")


def check_divert(node: Node) -> None:
    """Raise ``Problem`` if our program cannot have the place of runc on this node."""
    found = node.part(DivertState)
    todo = 'use gvisor_default = "sandbox" for this node'
    if node.init != "systemd":
        what = 'gvisor_default = "sandbox-all" needs systemd on the node'
        raise Problem(what, got=node.init, todo=todo)
    if not found.places:
        raise Problem("runc is not on the PATH of dockerd", todo="install runc, or " + todo)
    if found.command:
        what = "DOCKER_BUILDKIT_RUNC_COMMAND names another program for builds"
        raise Problem(what, got=found.command, todo="remove it from dockerd's environment")
    for option in _OPTIONS:
        if any(word.lstrip("-").partition("=")[0] == option for word in node.flags):
            raise Problem(f"dockerd has --{option}", todo=f"remove it, or {todo}")
    for place in found.places:
        _check_place(found, place, todo)


def _check_place(found: DivertState, place: str, todo: str) -> None:
    to = found.diverted.get(place)
    if to and to.to != place + ASIDE:
        what = f"{place} has another dpkg diversion"
        raise Problem(what, got=to.to, todo=f"remove this diversion, or {todo}")
    is_script = found.sizes.get(place, SCRIPT_MAX_BYTES) < SCRIPT_MAX_BYTES
    if is_script and place not in (*found.kept, *found.recorded):
        raise Problem(f"{place} is not runc itself", got="a script", todo=f"remove it, or {todo}")


def users(node: Node) -> tuple[str, ...]:
    """
    Return the running containers that are in a sandbox although they ask for runc.

    Without our program in the place of runc, Docker could not reach them any more.
    """
    runtimes = {} if node.info is None else node.info.runtimes

    def has_wrapper(asked: str) -> bool:
        entry = runtimes.get(asked)
        return entry is not None and (entry.path or "").startswith(f"{RUNTIMES_DIR}/")

    return tuple(
        item.name for item in node.containers if item.release and not has_wrapper(item.runtime)
    )


def plan_divert(node: Node, wanted: Wanted | None) -> PartPlan:
    """
    Return the changes after which our program has the place of runc, or gives it back.

    + wanted: what must have the place; None gives it back, as soon as no running container is in a
      sandbox by it

    Raises ``Problem`` if the node cannot have what is wanted.
    """
    found = node.part(DivertState)
    if wanted is not None and node.info is None:  # this run installs Docker, and runc with it
        return PartPlan("apply", ("replace runc with our program when Docker is installed",))
    if wanted is not None:
        check_divert(node)
        return _have(found, declared_places(found), wanted, retired=False)
    if not found.there:
        return PartPlan()
    if names := users(node):
        return _retired(node, found, names)
    places = tuple(dict.fromkeys((*found.kept, *found.recorded)))
    lines = (*(f"restore runc at {place}" for place in places), f"remove {PROGRAM}")
    return PartPlan("remove", lines, settings={"places": "\n".join(places)})


def _retired(node: Node, found: DivertState, names: Sequence[str]) -> PartPlan:
    stays = (
        f"our program still replaces runc, because containers run in gVisor by it: "
        f"{', '.join(names)}. Restart these containers, then run again"
    )
    if not found.dispatcher or not found.recorded:
        return PartPlan("keep", (stays,))
    wanted = Wanted(found.dispatcher, node.supervisor.unit or "docker.service")
    plan = _have(found, found.recorded, wanted, retired=True)
    if plan.action == "nothing":
        return PartPlan("keep", (stays,))
    lines = (stays, "from now on builds, and new containers that ask for runc, run without gVisor")
    return PartPlan("apply", lines, files=plan.files, settings=plan.settings)


def declared_places(found: DivertState) -> tuple[str, ...]:
    """Return the places that have runc. Our own program alone may be left of a removed package."""
    alive = tuple(
        place
        for place in found.places
        if place in found.kept or place not in found.recorded or place not in found.small
    )
    return alive or found.places


def _have(found: DivertState, places: Sequence[str], wanted: Wanted, *, retired: bool) -> PartPlan:
    files = divert_files(places, wanted.dispatcher, retired=retired, dockerd=wanted.dockerd)
    other = [item.path for item in files if not item.matches(found.files.get(item.path))]
    lines = [f"write {path}" for path in other]
    lines += [f"replace {place} with our program" for place in _open(found, files, places)]
    if not lines and found.enabled:
        return PartPlan()
    lines.append("apply the policy to every container that asks for runc, and to every build step")
    given = {"dispatcher": wanted.dispatcher}
    return PartPlan("apply", tuple(lines), files=files, settings=given)


def _open(found: DivertState, files: Sequence[NodeFile], places: Sequence[str]) -> list[str]:
    """Return the places that our program does not have yet, or that dpkg would overwrite."""
    program = next(item for item in files if item.path == PROGRAM)
    return [
        place
        for place in places
        if found.small.get(place) != program.sha256
        or found.modes.get(place) != "755:0:0"
        or not found.is_executable(place + ASIDE)
        or (place in found.owned and place not in found.diverted)
    ]
