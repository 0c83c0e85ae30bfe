"""The watch as a part."""

from __future__ import annotations

from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.parts.watch.plan import declared_watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState

PART = Part(
    "watch",
    "last",
    lambda settings: settings.watch,
    lambda node, settings, _plan: plan_watch(
        node.part(WatchState), declared_watch(settings), init=node.init
    ),
    "systemd, if `gvisor_watch` is set",
    "systemd.timer(5)",
    key="watch",
    off="False",
    title="the watch",
)
