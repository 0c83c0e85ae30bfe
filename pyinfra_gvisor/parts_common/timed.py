"""What parts have in common that are a systemd timer with a service, such as the watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import Field

from pyinfra_gvisor.base.node_files import FoundFile, NodeFile, read_files, unit_text
from pyinfra_gvisor.parts_common.state import PartState

T = TypeVar("T", bound="TimedState")


class TimedState(PartState):
    """The part's files by path; ``timer`` is the output of ``systemctl is-active`` for it."""

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    timer: str | None = None

    @property
    def there(self) -> bool:
        """Return True if anything of the part is on the node."""
        return bool(self.files) or self.enabled

    @property
    def runs(self) -> bool:
        """Return True if the timer is active, and will be after a boot."""
        return self.enabled and self.timer == "active"

    def other(self, files: Sequence[NodeFile]) -> list[str]:
        """Return the paths of the files that are not as declared."""
        return [item.path for item in files if not item.matches(self.files.get(item.path))]


def read_timed(kind: type[T], lines: Sequence[str]) -> T:
    """
    Parse the output of ``timer_of`` in ``node_state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("enabled", "timer"):
            values[word] = rest
        else:
            told.append(line)
    return kind(files=read_files(told), enabled="enabled" in values, timer=values.get("timer"))


def timer_text(interval_s: int, what: str) -> str:
    """
    Return the timer: a check every ``interval_s`` seconds, and one when the timer starts.

    The interval is from the start of a check to the start of the next one: systemd.timer(5).
    """
    return unit_text(
        "[Unit]",
        f"Description=Check every {interval_s} s {what}",
        "[Timer]",
        "OnActiveSec=0",
        f"OnUnitActiveSec={interval_s}",
        "AccuracySec=100ms",
        "[Install]",
        "WantedBy=timers.target",
    )


def timer_variables(directory: str, unit: str, metrics: str, tells: str = "") -> Mapping[str, Any]:
    """
    Return the variables of ``timer_stop.sh`` and ``timer_remove.sh``.

    + tells: the path of a file in which its service tells something; empty if it writes none
    """
    names = {"timer_dir": directory, "timer_unit": unit, "timer_metrics": metrics}
    return {**names, "timer_tells": tells}
