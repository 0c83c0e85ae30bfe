"""Decide which tests share a process: a lab can have one user at a time."""

from pathlib import PurePath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# The fixture that is a lab, by how the names of files begin; the others have "nodes".
LABS = {
    "test_faults_": "faulty",
    "test_crowd": "faulty",
    "test_bad_files": "faulty",
    "test_coolify_": "coolify",
    "test_dispatch_": "dispatch",
    "test_egress": "egress",
    "test_names": "names",
    "test_hardening": "proving",
    "test_owners": "proving",
    "test_proof": "proving",
    "test_restart_policy": "proving",
    "test_rollback": "proving",
    "test_verdict": "proving",
}
# Longest first, here and in OWN, so that no long lab starts last.
FIXTURES = ("nodes", "dispatch", "faulty", "names", "proving", "coolify", "egress")
# Files that make nodes of their own, under names of their own. A process takes the next file when
# it has two tests left, so that a short one comes after those whose two last tests are long.
OWN = (
    *("test_move_coolify", "test_move", "test_rollout"),
    *("test_documented_commands", "test_divert_steps", "test_lab", "test_reach"),
    *("test_power_cuts", "test_engine", "test_divert", "test_docker_29", "test_remove"),
    *("test_kernel", "test_watch", "test_metrics", "test_resolver_namespaces", "test_parts"),
    *("test_proof_egress", "test_coolify_versions"),
)


def lab_of_file(path: str) -> str:
    """Return the lab of a test file."""
    name = PurePath(path).stem
    if name in OWN or "tests/node/" not in path:
        return path
    return next((lab for start, lab in LABS.items() if name.startswith(start)), "nodes")


def lab_of_item(item: pytest.Item) -> str:
    """Return the lab of a test."""
    return lab_of_file(item.nodeid.partition("::")[0])


def place(item: pytest.Item) -> int:
    """Return the position of a test's lab; tests without one come last."""
    order = [*FIXTURES, *(f"tests/node/{name}.py" for name in OWN)]
    lab = lab_of_item(item)
    return order.index(lab) if lab in order else len(order)


def check(item: pytest.Item) -> None:
    """Raise ``pytest.UsageError`` for a test that another process might take the nodes from."""
    lab = lab_of_item(item)
    used = {name for name in FIXTURES if name in getattr(item, "fixturenames", ())}
    module = getattr(item, "module", None)
    if lab in FIXTURES and hasattr(module, "lab_of"):
        raise pytest.UsageError(
            f"{item.nodeid} makes nodes of its own: add its file to OWN in {__name__}"
        )
    if used - {lab}:
        todo = f"name its file so that LABS in {__name__} says so, and not OWN"
        raise pytest.UsageError(f"{item.nodeid} uses {', '.join(sorted(used))}: {todo}")


class ByLab(LoadScopeScheduling):
    """Distribute tests by labs instead of files, in the order of collection."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return lab_of_file(nodeid.partition("::")[0])
