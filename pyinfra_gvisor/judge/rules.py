"""What a runtime's wrapper goes by: a line of JSON at its end, which its checksum covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge.docker_files import Undecided, parse_object, read_object, read_text

MARK = "# rules: "
FORMAT = 1
DEFAULT_RUNTIME = "gvisordefault"


@dataclass(frozen=True)
class Rules:
    """
    What a runtime's wrapper goes by.

    + policy: entries and shapes, for containers that ask for no runtime; None by name
    + seal: what a sandbox may not have; None allows everything
    + door: ``report`` or ``refuse``: what is done about requests to Docker's API
    """

    policy: Mapping[str, Any] | None = None
    seal: Mapping[str, Any] | None = None
    door: str = "refuse"


def rules_of(wrapper: str) -> Rules:
    """Return the rules in a wrapper. Raises ``Undecided`` if it has none that can be read."""
    lines = [line for line in read_text(wrapper).split("\n") if line.startswith(MARK)]
    if len(lines) != 1:
        raise Undecided(f"{wrapper} has no rules")
    found = parse_object(lines[0].removeprefix(MARK), wrapper)
    if found.get("format") != FORMAT:
        raise Undecided(f"{wrapper} has rules of format {found.get('format')}, not {FORMAT}")
    return Rules(found.get("policy"), found.get("seal"), found.get("door") or "refuse")


def policy_in_force(daemon_json: str) -> Mapping[str, Any] | None:
    """
    Return the policy of the default runtime; None if there is no default runtime.

    A runtime that is asked for by name has no policy of its own, so that another policy is not
    another runtime.
    """
    runtimes = read_object(daemon_json).get("runtimes") if Path(daemon_json).exists() else None
    entry = (runtimes or {}).get(DEFAULT_RUNTIME)
    if entry is None:
        return None
    path = entry.get("path") or ""
    policy = rules_of(path).policy
    if policy is None:
        raise Undecided(f"{path} has no policy")
    return policy
