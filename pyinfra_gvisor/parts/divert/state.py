"""Parse where runc is on a node, and what has its place."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.node_files import FoundFile, read_files
from pyinfra_gvisor.dispatch.programs import ASIDE
from pyinfra_gvisor.parts.divert.files import PROGRAM
from pyinfra_gvisor.parts_common.state import PartState


class Diversion(Reading):
    """A diversion of dpkg: the path that a file gets instead, and who diverts."""

    to: str
    by: str


class DivertState(PartState):
    """
    The paths of runc, and our files about them.

    ``places`` are the paths of runc without symbolic links, as dockerd finds them. ``recorded`` are
    those that our program was declared for, ``owned`` those of these that belong to a package.
    ``modes`` has mode and owner of what is at a path, and ``sizes`` its size in bytes; ``small``
    has the sha256 of scripts. ``command`` is the program that BuildKit uses instead, by the
    environment of dockerd. ``dispatcher`` is the wrapper that our program names.
    """

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    places: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()
    modes: dict[str, str] = Field(default_factory=dict)
    sizes: dict[str, int] = Field(default_factory=dict)
    small: dict[str, str] = Field(default_factory=dict)
    diverted: dict[str, Diversion] = Field(default_factory=dict)
    command: str = ""
    dispatcher: str = ""

    @property
    def there(self) -> bool:
        """Return True if anything of this part is on the node."""
        return bool(self.files or self.recorded or self.enabled or self.kept)

    @property
    def wrapper(self) -> str:
        """Return the path of the wrapper that our program names; empty if it is not there."""
        return self.dispatcher

    @property
    def kept(self) -> tuple[str, ...]:
        """Return the places whose runc was moved aside."""
        return tuple(place for place in self.places if place + ASIDE in self.modes)

    @property
    def takes_runc(self) -> bool:
        """Return True if our program has every place of runc that dockerd can find."""
        return bool(self.places) and all(map(self.has_program, self.places))

    def has_program(self, place: str) -> bool:
        """Return True if the program on the node is at this place, and runc is beside it."""
        program = self.files.get(PROGRAM)
        return (
            program is not None
            and self.small.get(place) == program.sha256
            and self.modes.get(place) == "755:0:0"
            and self.is_executable(place + ASIDE)
        )

    def is_executable(self, path: str) -> bool:
        """Return True if a file of root that only root can change is executable."""
        mode, _, owner = self.modes.get(path, "0:").partition(":")
        return bool(int(mode, 8) & 0o100) and owner == "0:0"


def read(lines: Sequence[str]) -> DivertState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        told.setdefault(kind, []).append(rest)
    found = [line.split(" ", 2) for line in told.get("is", ())]
    return DivertState(
        files=read_files(
            [f"{kind} {rest}" for kind in ("sum", "stat") for rest in told.get(kind, ())]
        ),
        enabled="enabled" in told,
        places=tuple(dict.fromkeys(told.get("place", ()))),
        recorded=tuple(told.get("places", ())),
        owned=tuple(told.get("owned", ())),
        modes={path: mode for mode, _, path in found},
        sizes={path: int(size) for _, size, path in found},
        small={path: sum_ for sum_, path in map(_sum, told.get("small", ()))},
        diverted=dict(map(_diversion, told.get("diverted", ()))),
        command=told.get("command", [""])[0],
        dispatcher=told.get("dispatcher", [""])[0],
    )


def _sum(line: str) -> tuple[str, str]:
    sum_, path = line.split("  ", 1)
    return sum_, path


def _diversion(line: str) -> tuple[str, Diversion]:
    path, to, by = line.rsplit(" ", 2)
    return path, Diversion(to=to, by=by)
