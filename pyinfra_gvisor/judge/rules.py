"""What a runtime's wrapper goes by: a line of JSON at its end, which its checksum covers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge.docker_files import Undecided, parse_object, read_object, read_text

MARK = "# rules: "
FORMAT = 1
DEFAULT_RUNTIME = "gvisordefault"
PLUGIN = "pyinfra-gvisor"
"""The authorization plugin of dockerd's that the judge is."""
_RUNC_SHIM = re.compile(r"(?:^|[./-])runc[.-]v[0-9]+$|^io\.containerd\.runtime\.v1\.linux$")


@dataclass(frozen=True)
class Rules:
    """
    What a runtime's wrapper goes by.

    + policy: entries and shapes, for containers that ask for no runtime; None by name
    + seal: what a sandbox may not have; None allows everything
    + door: ``report`` or ``refuse``: what is done about requests to Docker's API. With ``off``
      nobody should ask, and what is asked is refused all the same
    + takes_runc: whether containers that ask for runc are handled like those that ask for nothing
    """

    policy: Mapping[str, Any] | None = None
    seal: Mapping[str, Any] | None = None
    door: str = "off"
    takes_runc: bool = False


def rules_of(wrapper: str) -> Rules:
    """Return the rules in a wrapper. Raises ``Undecided`` if it has none that can be read."""
    return _rules_in(read_text(wrapper), wrapper)


@lru_cache(maxsize=4)  # the same at each request
def _rules_in(text: str, wrapper: str) -> Rules:
    lines = [line for line in text.split("\n") if line.startswith(MARK)]
    if len(lines) != 1:
        raise Undecided(f"{wrapper} has no rules")
    found = parse_object(lines[0].removeprefix(MARK), wrapper)
    if found.get("format") != FORMAT:
        raise Undecided(f"{wrapper} has rules of format {found.get('format')}, not {FORMAT}")
    door, takes_runc = found.get("door") or "off", bool(found.get("takes_runc"))
    return Rules(found.get("policy"), found.get("seal"), door, takes_runc)


def in_force(daemon_json: str) -> tuple[Rules, Mapping[str, Any]]:
    """Return the rules of the default runtime, and all runtimes in daemon.json by name."""
    found = read_object(daemon_json) if Path(daemon_json).exists() else {}
    runtimes = found.get("runtimes") or {}
    path = (runtimes.get(DEFAULT_RUNTIME) or {}).get("path")
    return (rules_of(path) if path else Rules()), runtimes


def policy_in_force(daemon_json: str) -> Mapping[str, Any] | None:
    """
    Return the policy of the default runtime; None if there is no default runtime.

    A runtime that is asked for by name has no policy of its own, so that another policy is not
    another runtime.
    """
    rules, runtimes = in_force(daemon_json)
    entry = runtimes.get(DEFAULT_RUNTIME)
    if entry is not None and rules.policy is None:
        raise Undecided(f"{entry.get('path') or DEFAULT_RUNTIME} has no policy")
    return rules.policy


def has_place_of_runc(divert: str) -> bool:
    """
    Return True if our program is wherever runc was, so that it is called in place of runc.

    + divert: the directory that says where
    """
    try:
        program = Path(divert, "program").read_bytes()
        places = Path(divert, "places").read_text(encoding="utf-8").splitlines()
        has_them = all(Path(place).read_bytes() == program for place in places)
    except OSError:
        return False
    return bool(places) and has_them and b"\nretired=yes\n" not in program


def asks_for_runc(asked: str, entry: Mapping[str, Any] | None) -> bool:
    """
    Return True if a name starts the program that containerd finds by the name of runc.

    + entry: what dockerd has registered by this name; None for nothing
    """
    if not entry:
        return asked == "runc" or _RUNC_SHIM.search(asked) is not None
    if entry.get("path"):
        return bool(entry["path"] == "runc")
    kind, options = entry.get("runtimeType") or "", entry.get("options") or {}
    # Docker reads the names of a shim's options in several spellings: go-toml.
    names_a_program = any(key.lower() == "binaryname" for key in options)
    return asked == "runc" or (_RUNC_SHIM.search(kind) is not None and not names_a_program)
