"""What a run of pyinfra knew when it ended. deploys/recording.py writes it in pyinfra's process."""

from __future__ import annotations

from typing import Final, Literal

from pyinfra_gvisor.models import Strict

# Environment variables: pyinfra hands no arguments on to the file that --config names.
RECORD_PATH: Final = "PYINFRA_GVISOR_DRIFT_RECORD"
USERS_CONFIG: Final = "PYINFRA_GVISOR_DRIFT_CONFIG"

DEFAULT_CONFIG: Final = "config.py"  # pyinfra's own, read if it is there


class Said(Strict):
    """A line that was said about a host, by pyinfra, a deploy or an operation."""

    level: Literal["info", "warning", "error"]
    text: str


class HostRecord(Strict):
    """
    A host of the inventory.

    ``chosen``: not left out by a limit; ``connected``: was reached; ``failed``: pyinfra gave it up,
    for which not being reached is one reason; ``operations``: how many the deploys have for it.
    """

    name: str
    groups: tuple[str, ...]
    chosen: bool
    connected: bool
    failed: bool
    operations: int
    said: tuple[Said, ...]


class Record(Strict):
    """
    A whole run. ``looks_for_changes`` is False under ``-y``; ``deploys`` are the positions, from 0,
    of the deploy files that have operations for at least one host.
    """

    looks_for_changes: bool
    hosts: tuple[HostRecord, ...]
    deploys: tuple[int, ...]
