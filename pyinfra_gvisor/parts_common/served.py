"""What parts have in common that are a systemd service with a socket, such as the judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from pydantic import Field

from pyinfra_gvisor.base.node_files import FoundFile, NodeFile, read_files
from pyinfra_gvisor.parts_common.state import PartState

T = TypeVar("T", bound="ServedState")


class ServedState(PartState):
    """The part's files by path; ``socket`` and ``service`` are from ``systemctl is-active``."""

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    socket: str | None = None
    service: str | None = None

    @property
    def there(self) -> bool:
        """Return True if anything of the part is on the node."""
        return bool(self.files) or self.enabled

    @property
    def answers(self) -> bool:
        """Return True if its socket and its program are active."""
        return self.socket == self.service == "active"

    def down(self) -> list[str]:
        """Return which of socket and service are not active, a phrase each."""
        states = {"socket": self.socket, "service": self.service}
        return [
            f"its {kind} is {state or 'missing'}"
            for kind, state in states.items()
            if state != "active"
        ]

    def other(self, files: Sequence[NodeFile]) -> Iterator[tuple[str, str]]:
        """Return the paths of the files that are not as declared, each with what is wrong."""
        for item in files:
            if not item.matches(self.files.get(item.path)):
                is_there = item.path in self.files
                yield item.path, "the file was changed" if is_there else "the file is missing"


def read_served(kind: type[T], lines: Iterable[str]) -> T:
    """
    Parse the output of a part's ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str | bool] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("socket", "service"):
            values[word] = rest
        elif word in ("enabled", "judged"):
            values[word] = True
        else:
            told.append(line)
    return kind.model_validate({"files": read_files(told), **values})
