"""The proof's check of what dockerd asks: what dockerd refuses before it does anything."""

from __future__ import annotations

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.check import Check
from pyinfra_gvisor.proof.judges import Seen
from pyinfra_gvisor.proof.part import Declared, PartProof

_STRANGER = "/proc/no-docker-config"  # nobody can make settings of docker's there


def _all(did: str) -> str:
    return f"bind {did},volume {did},archive {did},"


def _refused(seen: Seen, _node: Seen) -> bool:
    return seen.get("door") == _all("refused")


def _done(seen: Seen, _node: Seen) -> bool:
    return seen.get("door") == _all("done")


CHECKS = (
    Check(
        "door",
        "Docker asks before it acts",
        "dockerd refuses a mount of the node, a volume that is a directory of the node, and "
        "docker cp into a container that mounts one. With an exception dockerd does all three",
        "door",
        Severity.CRITICAL,
        "read journalctl -u pyinfra-gvisor-judge, then run pyinfra-gvisor apply",
        _refused,
        _done,
        unless='`gvisor_door` is not `"refuse"`',
    ),
)


def _is_declared(declared: Declared) -> bool:
    return declared is not None and declared.has_door and declared.door == "refuse"


def _skipped(declared: Declared) -> dict[str, str]:
    return {} if _is_declared(declared) else {"door": 'gvisor_door is not "refuse"'}


def _given(_node: Node, declared: Declared) -> dict[str, str] | None:
    return {"door_stranger": _STRANGER} if _is_declared(declared) else None


def _state(node: Node, declared: Declared) -> list[object] | None:
    if not _is_declared(declared):
        return None
    return [f"{path} {file.sha256}" for path, file in node.part(JudgeState).files.items()]


PROOF = PartProof(CHECKS, _skipped, _given, _state)
