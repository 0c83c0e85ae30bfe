"""What rules and the node's policy tell about each running container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from pyinfra_gvisor.apps.rules import DIFFERENCES, REFUSAL, Difference, Ground
from pyinfra_gvisor.apps.seen import App, Apps
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.dispatch.seal import opens_node
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.next_start import Place
from pyinfra_gvisor.platforms.coolify import RESOURCE_NAME
from pyinfra_gvisor.report.outlooks import AppDifference, AppOutlook, AppOutlooks
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME
from pyinfra_gvisor.settings import Settings

_NOW: Final[Mapping[str, Literal["gVisor", "runc"]]] = {"sandboxed": "gVisor", "bare": "runc"}
_NO_ANSWER: Final = "the node cannot say where containers would run; run pyinfra-gvisor doctor"
_OFF: Final = "gvisor_default is off; pyinfra-gvisor apps says what it would be with a default"
_NO_DEFAULT: Final = "other settings contradict gvisor_default, so none was assumed"


def outlooks(
    host: str, node: Node, settings: Settings, found: Apps, *, declared: bool = True
) -> AppOutlooks:
    """
    Return what is known of each running container under the runtime that is declared for it.

    + settings: as they will be after the move, by which the node was asked as well
    + found: what was seen of the containers. Of processes in a sandbox the node sees nothing
    + declared: False if ``gvisor_default`` is set only after the move

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
    return AppOutlooks(
        host=host,
        apps=tuple(told),
        assumed=not declared and settings.dispatch is not None,
        switched=node.info is not None and node.info.default_runtime == DEFAULT_RUNTIME,
        unknown=_unknown(node, settings, apps, declared=declared),
        binds=_binds(node, settings, apps),
    )


def _unknown(node: Node, settings: Settings, apps: tuple[App, ...], *, declared: bool) -> str:
    """Return why it is not known what Docker would refuse; empty if it is."""
    if settings.dispatch is None:
        return _OFF if declared else _NO_DEFAULT
    known = node.places_error is None and (node.places or not apps)
    return "" if known else node.places_error or _NO_ANSWER


def _binds(node: Node, settings: Settings, apps: tuple[App, ...]) -> tuple[str, ...]:
    """Return what ``binds`` must have for all mounts but those that open the node."""
    missing = {
        mount.source
        for app in apps
        if (place := node.places.get(app.id))
        for mount in app.mounts
        if mount.type == "bind" and not opens_node(mount.source)
        if any(
            text.startswith(f"mount of {mount.source} on {mount.target}") for text in place.reasons
        )
    }
    declared = {
        path for item in settings.runtimes.values() if item.seal for path in item.seal.binds
    }
    return tuple(sorted(missing | declared)) if missing else ()


def _outlook(
    app: App, around: Apps, settings: Settings, place: Place | None, state: str
) -> AppOutlook:
    runtime = _declared(app, settings)
    outside = place is not None and place.where == "runc"
    reasons = (place.reasons or (place.why,)) if place and place.where == "refused" else ()
    ground = Ground(settings.runtimes[runtime], around, reasons)
    differences = () if outside else tuple(_differences(app, ground))
    worst = {item.outlook for item in differences}
    return AppOutlook(
        name=app.name,
        app=app.labels.get(RESOURCE_NAME, ""),
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


def _differences(app: App, ground: Ground) -> Iterator[AppDifference]:
    for rule in (REFUSAL, *DIFFERENCES):
        for seen in () if _is_said(rule, ground) else rule.look(app, ground):
            yield AppDifference(
                rule=rule.id,
                outlook=rule.outlook,
                seen=seen,
                what=rule.what,
                todo=rule.todo,
            )


def _is_said(rule: Difference, ground: Ground) -> bool:
    """Return True if a refusal says the same."""
    start = rule.refused
    return start is not None and any(item.lower().startswith(start) for item in ground.refused)
