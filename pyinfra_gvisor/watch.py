"""The watch on a node: a timer that looks for containers that must be in a sandbox and are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from pyinfra_gvisor.reading import Reading


class WatchFile(Reading):
    """A file of the watch as it lies on the node; ``mode`` is octal, ``owner`` in numbers."""

    sha256: str
    mode: str = ""
    owner: str = ""


class WatchState(Reading):
    """
    What of the watch is on a node, by path; ``timer`` is what ``systemctl is-active`` says of it.
    """

    files: dict[str, WatchFile] = Field(default_factory=dict)
    enabled: bool = False
    timer: str | None = None

    @property
    def there(self) -> bool:
        """Whether any of it is there."""
        return bool(self.files) or self.enabled


def read_watch(lines: Sequence[str], values: Mapping[str, str]) -> WatchState:
    """
    What ``scripts/node_state.sh`` tells of the watch.

    + lines: ``sum``, a sha256 and a path; or ``stat``, ``mode:uid:gid`` and a path
    + values: the other lines by key

    Raises ``ValueError`` if a line is malformed.
    """
    told: dict[str, dict[str, str]] = {"sum": {}, "stat": {}}
    for line in lines:
        kind, value, path = line.split(" ", 2)
        told[kind][path] = value
    stats = {path: stat.partition(":") for path, stat in told["stat"].items()}
    files = {
        path: WatchFile(sha256=digest, mode=stats[path][0], owner=stats[path][2])
        for path, digest in told["sum"].items()
        if path in stats
    }
    return WatchState(
        files=files, enabled="watch_enabled" in values, timer=values.get("watch_timer")
    )
