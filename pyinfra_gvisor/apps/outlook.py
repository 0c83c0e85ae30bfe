"""What rules and the node's policy tell about each running container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from pyinfra_gvisor.apps.rules import DIFFERENCES, Ground
from pyinfra_gvisor.apps.seen import App, Apps
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.next_start import Place
from pyinfra_gvisor.report.results import AppDifference, AppOutlook, AppOutlooks
from pyinfra_gvisor.settings import Settings

_REFUSED: Final = "Docker refuses it in a sandbox"
_CHANGE: Final = "Change it, allow it in gvisor_seal, or accept it if it is infrastructure"
_NOW: Final[Mapping[str, Literal["gVisor", "runc"]]] = {"sandboxed": "gVisor", "bare": "runc"}


def outlooks(host: str, node: Node, settings: Settings, found: Apps) -> AppOutlooks:
    """
    Return what is known of each running container under the runtime that is declared for it.

    + found: what was seen of the containers. Of processes in a sandbox the node sees nothing

    Raises ``Problem`` if no runtime is declared.
    """
    if not settings.runtimes:
        what = "no runtime is declared for this host, so nothing would run in gVisor"
        raise Problem(what, todo="write gvisor_runtimes, or choose other hosts with --limit")
    states = {item.id: item.verdict.state for item in node.containers}
    apps = tuple(
        item.model_copy(update={"seen": None}) if states.get(item.id) == "sandboxed" else item
        for item in found.apps
    )
    around = Apps(apps, found.sockets)
    told = (
        _outlook(app, around, settings, node.places.get(app.id), states.get(app.id, ""))
        for app in apps
    )
    return AppOutlooks(host=host, apps=tuple(told))


def _outlook(
    app: App, around: Apps, settings: Settings, place: Place | None, state: str
) -> AppOutlook:
    runtime = _declared(app, settings)
    outside = place is not None and place.where == "runc"
    ground = Ground(settings.runtimes[runtime], around)
    differences = () if outside else (*_refused(place), *_differences(app, ground))
    worst = {item.outlook for item in differences}
    return AppOutlook(
        name=app.name,
        image=app.image,
        now=_NOW.get(state, "unknown"),
        runtime=runtime,
        outlook="outside"
        if outside
        else next((item for item in ("fails", "differs") if item in worst), "nothing known"),
        differences=differences,
        cut=app.seen is not None and app.seen.cut,
    )


def _declared(app: App, settings: Settings) -> str:
    """Return the runtime that an app would have: the one that it asks for, or the default."""
    if app.options.runtime in settings.runtimes:
        return app.options.runtime
    if settings.dispatch is not None:
        return settings.dispatch.runtime
    return "runsc" if "runsc" in settings.runtimes else next(iter(settings.runtimes))


def _refused(place: Place | None) -> Iterator[AppDifference]:
    if place is not None and place.where == "refused":
        yield AppDifference(
            rule="refused", outlook="fails", seen=place.why, what=_REFUSED, todo=_CHANGE
        )


def _differences(app: App, ground: Ground) -> Iterator[AppDifference]:
    for rule in DIFFERENCES:
        for seen in rule.look(app, ground):
            yield AppDifference(
                rule=rule.id,
                outlook=rule.outlook,
                seen=seen,
                what=rule.what,
                todo=rule.todo,
            )
