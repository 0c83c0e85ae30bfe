"""The door as a part: before daemon.json names it, and until daemon.json does not."""

from __future__ import annotations

from pyinfra_gvisor.parts.door.plan import declared_program, refuse_node
from pyinfra_gvisor.parts.part import Part

PART = Part(
    "door",
    "around daemon.json",
    lambda settings: declared_program(settings) is not None,
    lambda node, _settings, _plan: refuse_node(node),
    "systemd and Python 3.10 or later with asyncio, if `gvisor_door` is not `off`",
    "moby, pkg/authorization",
    key="door",
    off='"off"',
    title="the door",
)
