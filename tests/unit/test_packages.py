"""Packages know each other in one direction only, so that each can be read without the next."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pyinfra_gvisor

PACKAGE = Path(pyinfra_gvisor.__file__).parent


def packages(root: Path) -> dict[str, set[str]]:
    """The packages and modules right below a package, by name, with those that each imports."""
    found: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        own = subject(path.relative_to(root).with_suffix("").parts)
        imported = {name for name in imports(path, root.name) if name != own}
        found.setdefault(own, set()).update(imported)
    return found


def subject(words: Sequence[str]) -> str:
    """What a module belongs to; each part of a node is a subject of its own."""
    return ".".join(words[: 2 if words[0] == "parts" else 1])


def imports(path: Path, package: str) -> Iterator[str]:
    """The subjects of a package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        words = (name.split(".") for name in names)
        yield from (subject(rest) for first, *rest in words if first == package and rest)


def in_order(graph: Mapping[str, set[str]]) -> list[str]:
    """The packages so that each stands behind all that it imports; raises ``CycleError``."""
    return list(TopologicalSorter(graph).static_order())


def test_no_package_needs_one_that_needs_it() -> None:
    order = in_order(packages(PACKAGE))

    assert order.index("errors") < order.index("settings") < order.index("audit")


def test_a_cycle_is_found(tmp_path: Path) -> None:
    root = tmp_path / "sample"
    for name, text in {
        "one/a.py": "from sample.two import b\n",
        "two/b.py": "def later():\n    import sample.three.c\n",
        "three/c.py": "from sample import one\n",
    }.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)

    with pytest.raises(CycleError) as caught:
        in_order(packages(root))

    assert {"one", "two", "three"} == set(caught.value.args[1])
