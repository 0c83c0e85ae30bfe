"""The keeper as a part: it is declared by what it keeps. Without systemd there is none."""

from __future__ import annotations

from pyinfra_gvisor.parts.keeper.plan import declared_keeps
from pyinfra_gvisor.parts.part import Part

PART = Part("keeper", "last", lambda settings: bool(declared_keeps(settings)))
