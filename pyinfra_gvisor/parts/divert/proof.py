"""The proof's check of builds: what a step of a build sees."""

from __future__ import annotations

from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.divert.state import DivertState
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.check import Check
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL, Seen
from pyinfra_gvisor.proof.part import Declared, PartProof

_PROGRAM = ("base/json.pl", "base/docker_api.pl", "proof/build.pl")


def _in_gvisor(seen: Seen, _node: Seen) -> bool:
    return seen.get("build_kernel", "").strip().endswith(GVISOR_KERNEL)


def _on_node(seen: Seen, node: Seen) -> bool:
    known = node.get("kernel_version", "")
    return bool(known) and seen.get("build_kernel", "").strip().endswith(known)


CHECKS = (
    Check(
        "build-kernel",
        "a build step runs in gVisor",
        "a step of an image that BuildKit builds reads gVisor's version in `/proc/version`; a "
        "container under runc reads the node's",
        "build_kernel",
        Severity.CRITICAL,
        "run pyinfra-gvisor apply, which replaces runc with our program again",
        _in_gvisor,
        _on_node,
        unless='`gvisor_default` is not `"sandbox-all"`',
    ),
)


def _is_declared(declared: Declared) -> bool:
    return declared is not None and declared.default == "sandbox-all"


def _skipped(declared: Declared) -> dict[str, str]:
    why = 'gvisor_default is not "sandbox-all"'
    return {} if _is_declared(declared) else {"build-kernel": why}


def _given(_node: Node, declared: Declared) -> dict[str, str] | None:
    return {"build_program": program(*_PROGRAM)} if _is_declared(declared) else None


def _state(node: Node, declared: Declared) -> list[object] | None:
    if not _is_declared(declared):
        return None
    found = node.part(DivertState)
    return [found.takes_runc, *(f"{path} {file.sha256}" for path, file in found.files.items())]


PROOF = PartProof(CHECKS, _skipped, _given, _state)
