"""
The resident judge as a part: before daemon.json has dockerd ask it, and until it does not.

Its program comes with the wrappers. Of these nothing depends on it: they run the same program
themselves if it does not answer.
"""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.judge.plan import declared_program, is_asked, refuse_node
from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.settings import Settings


def _check(node: Node, settings: Settings, _plan: Plan | None) -> None:
    if settings.has_door:
        refuse_node(node)


PART = Part(
    "judge",
    "around daemon.json",
    lambda settings: declared_program(settings) is not None,
    _check,
    "with `gvisor_default`, unless `gvisor_door` is `off`: systemd, Linux 5.10, Python 3.10 with "
    "asyncio, and no link in the place of a volume",
    "moby, pkg/authorization",
    surplus=lambda node, settings: is_asked(node) and not settings.has_door,
)
