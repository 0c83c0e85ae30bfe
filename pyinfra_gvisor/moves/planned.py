"""Which apps a move is about, in which order, and which it leaves as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyinfra_gvisor.apps.seen import Apps
from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.report.moves import Move
from pyinfra_gvisor.report.outlooks import AppOutlook, AppOutlooks
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.trials.asked import NAME, find_app

USUAL_S: Final = 10
LONGEST_S: Final = 3600
_FILES = 3  # that a message names


@dataclass(frozen=True)
class Wanted:
    """
    A move that is asked for.

    + apps: names or ids of running containers; empty for all that can be moved
    + watch_s: seconds for which each new container is watched before the old one is removed
    + max_failed: after so many that went back, the others of the host are not begun
    + failing: also those that would fail, as rules or a trial say
    + leave_writes: also those that wrote into their own layer, which a new container does not have
    """

    apps: tuple[str, ...] = ()
    watch_s: int = USUAL_S
    max_failed: int = 1
    failing: bool = False
    leave_writes: bool = False


@dataclass(frozen=True)
class Planned:
    """What is known of an app before its move. ``id``: of its container."""

    id: str
    move: Move


def wanted(given: Mapping[str, object]) -> Wanted:
    """
    Return what a host's data say about a move; None for the usual.

    Raises ``Problem`` if that is invalid.
    """
    apps = given.get("apps") or []
    if not isinstance(apps, list) or not all(
        isinstance(item, str) and NAME.fullmatch(item) for item in apps
    ):
        todo = "write --data 'move_apps=[\"NAME\"]', names or ids of running containers"
        raise Problem("move_apps is no list of containers", got=apps, todo=todo)
    for key in ("failing", "leave_writes"):
        if given.get(key) not in (None, True, False):
            what = f"move_{key} is neither True nor False"
            raise Problem(what, got=given[key], todo="write True")
    return Wanted(
        tuple(apps),
        _number(given, "watch_s", USUAL_S, LONGEST_S),
        _number(given, "max_failed", 1, LONGEST_S),
        failing=bool(given.get("failing")),
        leave_writes=bool(given.get("leave_writes")),
    )


def _number(given: Mapping[str, object], key: str, usual: int, most: int) -> int:
    found = given.get(key)
    found = usual if found is None else found
    if type(found) is not int or not 1 <= found <= most:
        todo = f"write a number from 1 to {most}"
        raise Problem(f"move_{key} is no such number", got=found, todo=todo)
    return found


def check_node(node: Node, settings: Settings) -> None:
    """Raise ``Problem`` if nothing can be moved on a node."""
    if node.info is None or node.info.default_runtime != DEFAULT_RUNTIME:
        what = "new containers of this node do not run in gVisor"
        todo = 'set gvisor_default = "sandbox", then pyinfra-gvisor apply'
        raise Problem(what, todo=todo)
    if settings.dispatch is not None and settings.dispatch.takes_runc:
        what = 'with gvisor_default = "sandbox-all" no container can go back to runc'
        raise Problem(what, todo='set "sandbox", move, and set "sandbox-all" after that')


def planned(
    asked: Wanted, told: AppOutlooks, found: Apps, looks: Sequence[Mapping[str, Any]]
) -> list[Planned]:
    """
    Return the apps that are not in gVisor: what is moved in its order, then what is left.

    First those without a known difference, and of these first those without a gap.

    + told: what is known of each app in gVisor
    + looks: what ``mover.looks`` saw of each

    Raises ``Problem`` if an app that is asked for does not exist.
    """
    ids = {app.name: app.id for app in found.apps}
    seen = {item["id"]: item for item in looks if "id" in item}
    chosen = {find_app(name, found).name for name in asked.apps}
    every = []
    for app in told.apps:
        if app.now == "gVisor" or (app.outlook == "outside" and app.name not in chosen):
            continue
        if (chosen and app.name not in chosen) or ids[app.name] not in seen:
            continue
        every.append(Planned(ids[app.name], _move(app, seen[ids[app.name]], asked)))
    known = {app.name: app.outlook == "nothing known" for app in told.apps}
    return sorted(every, key=lambda item: _order(item.move, known=known[item.move.name]))


def _order(move: Move, *, known: bool) -> tuple[bool, bool, bool, int, str]:
    return move.where == "left", not known, not move.gapless, move.foretold_s, move.name


def _move(app: AppOutlook, look: Mapping[str, Any], asked: Wanted) -> Move:
    why = _why_left(app, look, asked)
    return Move(
        name=app.name,
        app=app.app,
        where="left" if why else "next",
        why=why,
        gapless=look["gapless"],
        foretold_s=look["away_s"],
    )


def _why_left(app: AppOutlook, look: Mapping[str, Any], asked: Wanted) -> str:
    refused = [item for item in app.differences if item.rule == "refused"]
    fails = [item for item in app.differences if item.outlook == "fails"]
    if app.outlook == "outside":
        return "it is accepted for runc"
    if look["why_not"]:
        return str(look["why_not"])
    if refused:
        return f"it would be refused: {some([item.seen for item in refused], _FILES)}"
    if fails and not asked.failing:
        rules = some(sorted({item.rule for item in fails}), _FILES)
        return f"it would fail ({rules}): see pyinfra-gvisor apps, or add --failing"
    if look["wrote"] and not asked.leave_writes:
        files = some(look["wrote"], _FILES)
        what = f"a new container lacks what it wrote outside of volumes: {files}"
        return f"{what}. Use a volume, or add --leave-writes"
    return ""
