"""Parse the state of the resident judge on a node."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.node_files import FoundFile, NodeFile, read_files
from pyinfra_gvisor.judge.permits import OF_CONTAINER
from pyinfra_gvisor.parts_common.state import PartState


class About(Reading):
    """What an operator's permit is for: ``by`` is who gave it, and ``command`` what was run."""

    reason: str
    by: str
    command: str


class Permit(Reading):
    """
    An operator's permit.

    + container: the id of the container that was made with it; None if there is none
    + about: None if its file is damaged
    """

    container: str | None
    about: About | None


class JudgeState(PartState):
    """
    The resident judge.

    + files: its files by path; ``socket`` and ``service`` are from ``systemctl is-active``
    + answers: whether the judge answers where dockerd asks
    + links: ``safe`` if only containers follow symbolic links in volumes, else what is wished, as
      ``judge.links.wish`` says it
    + permits: those of operators since the node's start
    """

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    socket: str | None = None
    service: str | None = None
    answers: bool = False
    links: str = ""
    permits: tuple[Permit, ...] = ()

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
        if not asked or down:
            return down
        silent = ["the judge does not answer dockerd"] * (not self.answers)
        should_be = self.links in ("", "wanted")
        return silent + ["dockerd follows symbolic links in volumes"] * should_be

    @property
    def outside(self) -> tuple[str, ...]:
        """Return the containers because of which links are followed: nobody asks about them."""
        return tuple(self.links.removeprefix("followed").split()) * self.links.startswith(
            "followed"
        )

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
    permits: list[Permit] = []
    values: dict[str, str | bool] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("links", "service", "socket"):
            values[word] = rest
        elif word in ("enabled", "answers"):
            values[word] = True
        elif word == "permit":
            permits.append(_permit(rest))
        else:
            told.append(line)
    given = {"files": read_files(told), "permits": tuple(permits), **values}
    return JudgeState.model_validate(given)


def _permit(line: str) -> Permit:
    name, _, text = line.partition(" ")
    of, _, state = name.partition(".")
    container = of if state == OF_CONTAINER else None
    try:
        about = About.model_validate(json.loads(base64.b64decode(text))["about"])
    except (ValueError, LookupError, TypeError):
        about = None
    return Permit(container=container, about=about)
