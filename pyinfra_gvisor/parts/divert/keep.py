"""How the keeper knows that our program has the place of runc."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.divert.files import NAME, PLACES, REPAIR, VARIABLES, divert_files
from pyinfra_gvisor.parts.divert.plan import declared_divert, declared_places
from pyinfra_gvisor.parts.divert.state import DivertState
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.settings import Settings


def _files(node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    wanted = declared_divert(settings, node)
    if wanted is None:
        return ()
    places = declared_places(node.part(DivertState))
    found = divert_files(places, wanted.dispatcher, retired=False, dockerd=wanted.dockerd)
    return tuple(item for item in found if item.path != PLACES)  # the repair adds to this one


KEEP = Keep(
    ("parts/divert/places", "parts/divert/keep"),
    _files,
    lambda _node, _settings: {**VARIABLES, "divert_repair": REPAIR, "divert_unit": NAME},
)
