"""The plan of a rollout: which hosts in which wave, and what stops it. It never changes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Strict

VERSION: Final = 1
"""Of a plan's form and of the steps that follow it. Another version does not go on with it."""

CANARY: Final = "canary"
"""The group of hosts that every change reaches first."""

LARGEST: Final = 50
"""Hosts of a wave."""

USUAL_WAVES: Final = "10%,50"
USUAL_SHARD: Final = 25
_SIZE = re.compile(r"([1-9][0-9]{0,2})(%?)")
_ID = re.compile(r"^[0-9]{8}-[0-9]{4}-[0-9a-f]{4}$")
_ALL = 100  # per cent


class PlannedHost(Strict):
    """A host, and the release that its settings declare. ``settings``: their hash."""

    name: str
    release: str
    settings: str


class Wave(Strict):
    """Hosts that are changed at a time. A shard is what one process of pyinfra does."""

    name: str
    shards: tuple[tuple[str, ...], ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the names of all its hosts."""
        return tuple(name for shard in self.shards for name in shard)


class Plan(Strict):
    """
    A rollout.

    ``data``: pairs for pyinfra's ``--data``. ``inputs``: hash of files and package.
    """

    version: Literal[1] = VERSION
    id: str = Field(pattern=_ID.pattern)
    inventory: str
    inputs: str
    data: tuple[str, ...] = ()
    hosts: tuple[PlannedHost, ...]
    without: tuple[str, ...] = Field((), description="Hosts that declare no runtime of gVisor.")
    waves: tuple[Wave, ...]
    max_failed: int = Field(
        0, description="A wave with more hosts that are not proven is the last."
    )
    max_failed_all: int = Field(0, description="The same for all waves together.")
    absent: tuple[str, ...] = Field((), description="Hosts that may be unreachable.")
    soak_s: int = Field(0, description="Seconds after a wave, until its hosts are audited.")
    approve: bool = Field(False, description="Each wave but the first waits for an approval.")
    halt_if: str = Field("", description="A command; if it ends with 0, no wave begins.")

    @property
    def shards(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield every shard with the number of its wave, in order."""
        for number, wave in enumerate(self.waves):
            yield from ((number, shard) for shard in wave.shards)


def new_id(now: datetime) -> str:
    """Return the name of a new rollout, such as ``20261203-1405-9f3a``."""
    return f"{now:%Y%m%d-%H%M}-{secrets.token_hex(2)}"


def identity(text: str) -> str:
    """Return the id of a rollout. Raises ``Problem`` if the text cannot be one."""
    if not _ID.fullmatch(text):
        raise Problem("not the id of a rollout", got=text, todo="see pyinfra-gvisor rollout list")
    return text


def waves(names: Sequence[str], canary: Sequence[str], sizes: str, shard: int) -> tuple[Wave, ...]:
    """
    Return the waves of a fleet: the canary first, then by these sizes, the last one repeated.

    + names: all hosts, in the order of the inventory
    + canary: hosts that are first
    + sizes: such as ``10%,50``; a percentage is of all hosts
    + shard: hosts that one process of pyinfra changes

    Raises ``Problem`` if a size is not one.
    """
    first = [name for name in names if name in {*canary}]
    rest = [name for name in names if name not in {*canary}]
    steps = [_size(text, len(names)) for text in sizes.split(",")]
    found = [_wave(CANARY, first[at : at + LARGEST], shard) for at in range(0, len(first), LARGEST)]
    number = 0
    while rest:
        size = steps[min(number, len(steps) - 1)]
        found.append(_wave(f"wave {len(found) + 1}", rest[:size], shard))
        rest, number = rest[size:], number + 1
    return tuple(found)


def _wave(name: str, hosts: Sequence[str], shard: int) -> Wave:
    parts = (tuple(hosts[at : at + shard]) for at in range(0, len(hosts), shard))
    return Wave(name=name, shards=tuple(parts))


def _size(text: str, hosts: int) -> int:
    found = _SIZE.fullmatch(text.strip())
    number = int(found[1]) if found else 0
    if not found or (found[2] and number > _ALL):
        todo = f"write numbers up to {LARGEST} or percentages, such as {USUAL_WAVES}"
        raise Problem("--waves has no size of a wave", got=text, todo=todo)
    size = -(-hosts * number // _ALL) if found[2] else number
    return min(size, LARGEST)


def read_plan(path: Path) -> Plan:
    """
    Return the plan in a file.

    Raises ``Problem`` if there is none that this version can follow.
    """
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Problem(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        what = f"{path}: not a plan that this version follows"
        got = str(error.errors()[0]["msg"])
        raise Problem(what, got=got, todo="make one: rollout --plan FILE") from None
