"""What a process of pyinfra knows of the rollout whose shard it does."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.settings import Settings

SHARD: Final = "PYINFRA_GVISOR_SHARD"
"""Environment variable: the file that ``shard_text`` is written to."""


class Shard(NamedTuple):
    """
    Part of a rollout.

    + settings: the hash of the settings of each of its hosts
    + others: the fleet's other hosts
    """

    settings: dict[str, str]
    others: frozenset[str]


def shard_text(settings: dict[str, str], others: Sequence[str]) -> str:
    """Return a shard as text."""
    return json.dumps({"settings": settings, "others": others})


@cache
def own_shard() -> Shard | None:
    """Return the shard that this process does; None if it does none."""
    path = os.environ.get(SHARD)
    if not path:
        return None
    found = json.loads(Path(path).read_text("utf-8"))
    return Shard(found["settings"], frozenset(found["others"]))


def settings_hash(settings: Settings) -> str:
    """Return the hash by which a rollout knows whether a host's settings are as planned."""
    return sha256(settings.model_dump_json().encode()).hexdigest()


def changed_since_planned(name: str, settings: Settings) -> list[tuple[str, Problem]]:
    """Return why a host is not what its rollout planned; nothing if it is, or without a rollout."""
    shard = own_shard()
    if shard is None or shard.settings.get(name) == settings_hash(settings):
        return []
    todo = "begin a new rollout"
    return [("settings", Problem("they are others than the rollout planned", todo=todo))]
