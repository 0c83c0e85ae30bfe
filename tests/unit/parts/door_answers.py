"""A node that has a door, as the node tells it."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import ROOT
from pyinfra_gvisor.parts.door.files import door_files
from tests.unit.parts.judge_answers import PROGRAM

FILES = door_files(PROGRAM, "docker.service")


def told(
    *, without: str = "", other: str = "", enabled: bool = True, answers: bool = True, **states: str
) -> list[str]:
    """
    The lines of a node that has all of it.

    + without: the path of a file that is missing; other: of one that was changed
    + states: of units by their kind
    """
    lines = [f"{kind} {state}" for kind, state in {**_ACTIVE, **states}.items()]
    for item in FILES:
        if item.path != without:
            digest = "0" * 64 if item.path == other else item.sha256
            lines += [f"sum {digest} {item.path}", f"stat {item.mode}:{ROOT} {item.path}"]
    lines += ["enabled yes"] if enabled else []
    return [f"door {line}" for line in (*lines, *(["judged yes"] if answers else []))]


_ACTIVE = {"socket": "active", "service": "active"}
