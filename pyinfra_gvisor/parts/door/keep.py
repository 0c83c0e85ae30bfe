"""How the keeper knows that the door answers."""

from __future__ import annotations

from pyinfra_gvisor.parts.door.files import ADDRESS, ASK, NAME
from pyinfra_gvisor.parts.door.plan import declared_files
from pyinfra_gvisor.parts.keeping import Keep

KEEP = Keep(
    ("parts/door/keep",),
    declared_files,
    lambda _node, _settings: {"door_name": NAME, "door_address": ADDRESS, "door_ask": ASK},
)
