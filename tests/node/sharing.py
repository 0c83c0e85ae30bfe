"""Which tests share a process when several run them: a lab has one user at a time."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from xdist.scheduler import LoadScopeScheduling

# The fixture that is a lab, by how the names of files begin; the others have "nodes".
LABS = {
    "test_faults_": "faulty",
    "test_crowd": "faulty",
    "test_bad_files": "faulty",
    "test_coolify_": "coolify",
    "test_egress": "egress",
    "test_names": "names",
}
FIXTURES = ("nodes", "faulty", "coolify", "egress", "names")
# Files that make nodes of their own, under names of their own.
OWN = (
    *("test_lab", "test_remove", "test_coolify_versions", "test_kernel"),
    *("test_egress_audit", "test_proof_egress", "test_resolver_namespaces", "test_docker_29"),
    *("test_watch", "test_parts", "test_reach"),
)


def lab_of_file(path: str) -> str:
    """What a test file has its nodes from."""
    name = PurePath(path).stem
    if name in OWN or "tests/node/" not in path:
        return path
    return next((lab for start, lab in LABS.items() if name.startswith(start)), "nodes")


def lab_of_item(item: pytest.Item) -> str:
    """The same of a test."""
    return lab_of_file(item.nodeid.partition("::")[0])


def check(item: pytest.Item) -> None:
    """Raise ``pytest.UsageError`` for a test that another process might take the nodes from."""
    lab = lab_of_item(item)
    used = {name for name in FIXTURES if name in getattr(item, "fixturenames", ())}
    if used - {lab}:
        todo = f"name its file so that LABS in {__name__} says so, and not OWN"
        raise pytest.UsageError(f"{item.nodeid} uses {', '.join(sorted(used))}: {todo}")


class ByLab(LoadScopeScheduling):
    """xdist's own order, by labs instead of files."""

    def _split_scope(self, nodeid: str) -> str:
        return lab_of_file(nodeid.partition("::")[0])
