"""Folders know each other in one direction only, so that each can be read without the next."""

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = "pyinfra_gvisor"
PARTS = f"{PACKAGE}.parts"


def modules(package: Path) -> dict[str, Path]:
    """The files of a package, those of linked folders too, by the name that an import has."""
    found = {}
    for folder, _, names in os.walk(package, followlinks=True):
        for path in (Path(folder, name) for name in names if name.endswith(".py")):
            words = path.relative_to(package.parent).with_suffix("").parts
            found[".".join(word for word in words if word != "__init__")] = path
    return found


def imports(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The modules among these that a file imports, in functions too."""
    named: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            named += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
    own = {name for name, file in known.items() if file == path}
    return set(filter(None, (_module(name, known) for name in named))) - own


def _module(name: str, known: Mapping[str, Path]) -> str | None:
    """The longest beginning of a dotted name that is one of these modules."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def by_name(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """What a file takes of other parts by ``members("state", …)`` or ``import_module``."""
    own = f"{PARTS}.{path.parent.name}."
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        first = node.args[0]
        if node.func.id == "members" and isinstance(first, ast.Constant):
            end = first.value
        elif node.func.id == "import_module" and ast.unparse(first).startswith(f"f'{PARTS}."):
            end = ast.unparse(first).rpartition(".")[2].rstrip("'")
        else:
            continue
        taken = (name for name in known if name.startswith(PARTS) and name.endswith(f".{end}"))
        yield from (name for name in taken if not name.startswith(own))


def folder(name: str, known: Mapping[str, Path]) -> str:
    """The folder that a module lies in; each part of a node is one."""
    words: Sequence[str] = name.split(".")
    package = words if known[name].name == "__init__.py" else words[:-1]
    if len(package) < 2:
        return name
    return ".".join(package[: 3 if package[1] == "parts" else 2])


def in_order(graph: Mapping[str, set[str]]) -> list[str]:
    """All names so that each stands behind those that it needs; raises ``CycleError``."""
    return list(TopologicalSorter(graph).static_order())


def folders(known: Mapping[str, Path]) -> dict[str, set[str]]:
    """The folders of a tree with those that each imports."""
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        own = folder(name, known)
        others = {folder(item, known) for item in imports(path, known)}
        found.setdefault(own, set()).update(others - {own, PACKAGE})
    return found


KNOWN = {**modules(ROOT / PACKAGE), **modules(ROOT / "tools")}


def test_no_folder_needs_one_that_needs_it() -> None:
    order = in_order(folders(KNOWN))

    places = [order.index(f"{PACKAGE}.{name}") for name in ("base", "node", "audit", "operations")]
    assert places == sorted(places)


def test_the_package_needs_no_tool() -> None:
    needed = {
        f"{name} needs {item}"
        for name, path in KNOWN.items()
        for item in imports(path, KNOWN)
        if name.startswith(PACKAGE) and not item.startswith(PACKAGE)
    }

    assert "tools.lab.fleet" in KNOWN
    assert needed == set()


def test_no_module_needs_one_that_needs_it_by_name_either() -> None:
    named = {name: set(by_name(path, KNOWN)) for name, path in KNOWN.items()}

    order = in_order({name: imports(path, KNOWN) | named[name] for name, path in KNOWN.items()})

    assert named[f"{PACKAGE}.node"] >= {f"{PARTS}.egress.state", f"{PARTS}.divert.state"}
    assert order.index(f"{PARTS}.egress.state") < order.index(f"{PACKAGE}.node")


def test_a_cycle_of_folders_is_found(tmp_path: Path) -> None:
    for name, text in {
        "one/a.py": "from sample.two import b\n",
        "two/b.py": "def later():\n    import sample.three.c\n",
        "three/c.py": "from sample.one import other\n",
        "one/other.py": "",
    }.items():
        (tmp_path / "sample" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sample" / name).write_text(text)
    known = modules(tmp_path / "sample")

    assert in_order({name: imports(path, known) for name, path in known.items()})
    with pytest.raises(CycleError) as caught:
        in_order(folders(known))

    assert {"sample.one", "sample.two", "sample.three"} == set(caught.value.args[1])
