"""Parse the state of the resident judge on a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from pyinfra_gvisor.base.node_files import FoundFile, NodeFile, read_files
from pyinfra_gvisor.parts_common.state import PartState


class JudgeState(PartState):
    """
    The resident judge.

    + files: its files by path; ``socket`` and ``service`` are from ``systemctl is-active``
    + answers: whether the judge answers where dockerd asks
    """

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    socket: str | None = None
    service: str | None = None
    answers: bool = False

    @property
    def there(self) -> bool:
        """Return True if anything of it is on the node."""
        return bool(self.files) or self.enabled

    @property
    def is_asked(self) -> bool:
        """Return True if dockerd's unit waits for it."""
        return any(".service.d/" in path for path in self.files)

    def down(self, *, asked: bool) -> list[str]:
        """
        Return what keeps it from answering, a phrase each.

        + asked: whether dockerd has to ask
        """
        states = {"socket": self.socket, "service": self.service}
        down = [
            f"its {kind} is {state or 'missing'}"
            for kind, state in states.items()
            if state != "active"
        ]
        return down or ["nobody answers where dockerd asks"] * (asked and not self.answers)

    def other(self, files: Sequence[NodeFile]) -> Iterator[tuple[str, str]]:
        """Return the paths of the files that are not as declared, each with what is wrong."""
        for item in files:
            if not item.matches(self.files.get(item.path)):
                is_there = item.path in self.files
                yield item.path, "the file was changed" if is_there else "the file is missing"


def read(lines: Iterable[str]) -> JudgeState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str | bool] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("socket", "service"):
            values[word] = rest
        elif word in ("enabled", "answers"):
            values[word] = True
        else:
            told.append(line)
    return JudgeState.model_validate({"files": read_files(told), **values})
