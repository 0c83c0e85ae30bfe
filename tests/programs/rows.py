"""The rows of ``programs.toml``, and the record of what was seen of them."""

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORD = HERE.parents[1] / "docs/compatibility/programs/record.json"


@dataclass(frozen=True)
class Program:
    """A row, with the keys that ``programs.toml`` explains."""

    name: str
    packages: str
    serve: str
    beside: str = ""
    client: str = ""
    inside: str = ""
    options: tuple[str, ...] = ()
    wait_s: int = 30

    @property
    def trial_s(self) -> int:
        """Return how long a trial has to run: longer for what starts slowly."""
        return self.wait_s // 3


@dataclass(frozen=True)
class Seen:
    """
    What was seen of a program.

    + predicted, rules: by ``pyinfra-gvisor apps``, of the program under runc
    + tried, seconds, why, news: by ``pyinfra-gvisor try``
    + true: works or fails, by the check of its work under runsc
    + failed: the end of its log and of the check's output, if it fails
    """

    name: str
    version: str
    predicted: str
    rules: tuple[str, ...]
    tried: str
    seconds: int
    why: tuple[str, ...]
    news: tuple[str, ...]
    true: str
    failed: str


def programs() -> tuple[Program, ...]:
    """Return all rows."""
    rows = tomllib.loads((HERE / "programs.toml").read_text())["program"]
    return tuple(Program(**{**row, "options": tuple(row.get("options", ()))}) for row in rows)


def keep(found: Seen, about: dict[str, Any]) -> None:
    """Write what was seen of a program into the record, in place of what was seen before."""
    given = json.loads(RECORD.read_text())["programs"] if RECORD.exists() else []
    seen = {**{item["name"]: item for item in given}, found.name: asdict(found)}
    kept = [seen[row.name] for row in programs() if row.name in seen]
    RECORD.write_text(json.dumps({**about, "programs": kept}, indent=1) + "\n")
