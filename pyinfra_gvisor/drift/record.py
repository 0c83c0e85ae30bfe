"""The record of a pyinfra run, which deploys/recording.py writes in pyinfra's process."""

from __future__ import annotations

from typing import Final, Literal

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.report.summary import Counted, Outcome

# Environment variables, since pyinfra passes no arguments to the file that --config names.
RECORD_PATH: Final = "PYINFRA_GVISOR_DRIFT_RECORD"
USERS_CONFIG: Final = "PYINFRA_GVISOR_DRIFT_CONFIG"

DEFAULT_CONFIG: Final = "config.py"  # pyinfra's default; it is read if it exists


class Said(Strict):
    """A line that pyinfra, a deploy or an operation logged about a host."""

    level: Literal["info", "warning", "error"]
    text: str


class HostRecord(Strict):
    """
    A host of the inventory.

    ``chosen``: ``--limit`` and ``--exclude`` leave it in. ``connected``: pyinfra reached it.
    ``failed``: pyinfra stopped with it, also because it was not reached. ``operations``: number of
    operations that the deploys have for it. ``containers``: how many run in gVisor, how many run,
    and how many may run outside; None if a deploy did not count them. ``outcome``: what became of
    it, and why, as the summary of a run has it; None if no deploy of ours was loaded.
    """

    name: str
    groups: tuple[str, ...]
    chosen: bool
    connected: bool
    failed: bool
    operations: int
    said: tuple[Said, ...]
    containers: Counted | None = None
    outcome: Outcome | None = None
    causes: tuple[str, ...] = ()


class Record(Strict):
    """
    A whole run. ``looks_for_changes`` is False with ``-y``. ``deploys`` are the positions, from 0,
    of deploy files that have operations for at least one host.
    """

    looks_for_changes: bool
    hosts: tuple[HostRecord, ...]
    deploys: tuple[int, ...]
