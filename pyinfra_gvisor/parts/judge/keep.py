"""How the keeper knows that the judge is resident."""

from __future__ import annotations

from pyinfra_gvisor.parts.judge.files import NAME
from pyinfra_gvisor.parts.judge.plan import declared_files
from pyinfra_gvisor.parts.keeping import Keep

KEEP = Keep(
    ("parts/judge/keep",),
    lambda _node, settings: declared_files(settings),
    lambda _node, _settings: {"judge_name": NAME},
)
