"""Settings that pyinfra reads and does not apply, found in the operator's files."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.groups import KNOWN, MISSPELT
from pyinfra_gvisor.base.spelling import did_you_mean, near
from pyinfra_gvisor.settings import is_setting

GROUP_DATA = "group_data"
_TYPES = (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp)  # dict[str, int] | None
_DYNAMIC = {"globals", "locals", "vars", "exec", "setattr"}


@dataclass(frozen=True)
class OperatorFiles:
    """
    The Python files of a run.

    ``ran``: what pyinfra runs beside group data: its config, the inventory, deploys.
    ``inventories``: the inventory, and whatever beside the group data may be another one.
    """

    ran: tuple[Path, ...] = ()
    group_data: tuple[Path, ...] = ()
    inventories: tuple[Path, ...] = ()


def sort_files(files: Iterable[Path], more_group_data: Collection[Path] = ()) -> OperatorFiles:
    """
    Return files by what pyinfra takes them for.

    + files: what pyinfra runs, in its order: config, inventory, group data, deploys
    + more_group_data: files and directories of ``--group-data``

    pyinfra reads ``group_data/`` of the working directory and of the inventory's directory:
    make_inventory_from_files in pyinfra_cli/inventory.py of pyinfra 3.10.
    """
    found = list(files)
    data = [path for path in found if _is_group_data(path, more_group_data)]
    ran = [path for path in found if path not in data]
    # Hosts on the command line are no file: then it is the config.
    before = found[: found.index(data[0])] if data else []
    used = [path for path in before[-1:] if path.name != "config.py"]
    known = {path.resolve() for path in ran}
    beside = [
        path
        for directory in sorted({path.parent.parent for path in data})
        for pattern in ("*.py", "inventories/**/*.py")
        for path in sorted(directory.glob(pattern))
        if path.parent.name != GROUP_DATA and path.resolve() not in known
    ]
    return OperatorFiles(tuple(ran), tuple(data), (*used, *beside))


def _is_group_data(path: Path, more: Collection[Path]) -> bool:
    return path.parent.name == GROUP_DATA or bool({path, path.parent} & {*more})


def ignored(files: OperatorFiles, filled: Collection[str] = ()) -> Iterator[Problem]:
    """
    Yield a problem for each setting, and each file of group data, that would do nothing.

    + filled: groups that have a host in this run; connectors add groups that no file names
    """
    for path in files.group_data:
        yield from _in_group_data(path)
    for path in files.ran:
        yield from _elsewhere(path)
    groups = groups_of(files.inventories)
    if groups is not None:
        known = groups | {*filled}
        yield from filter(None, (_without_group(path, known) for path in files.group_data))


def groups_of(inventories: Collection[Path]) -> set[str] | None:
    """Return the groups of inventories, which are not run; None if only a run would tell."""
    found = {"all"}
    for path in inventories:
        names = _names(path)
        if names.is_dynamic:
            return None
        found |= {path.stem, *names.assigned, *names.imported}
    return found if inventories else None


def _in_group_data(path: Path) -> Iterator[Problem]:
    names = _names(path)
    for key, line in names.annotated.items():
        what = "has a type but no value, so it sets nothing"
        yield _problem(path, line, key, what, f"write {key} = …")
    # _get_imported_names in pyinfra_cli/inventory.py of pyinfra 3.10.
    for key, line in names.imported.items():
        if names.exported is None and is_setting(key):
            what = "is imported, and pyinfra leaves imported names out of group data"
            yield _problem(path, line, key, what, f"import the module, and write {key} = …")
    for key, line in names.assigned.items():
        if names.exported is not None and key not in names.exported and is_setting(key):
            what = "is not in __all__, so pyinfra leaves it out of group data"
            yield _problem(path, line, key, what, "add the key to __all__, or remove __all__")


def _elsewhere(path: Path) -> Iterator[Problem]:
    names = _names(path)
    for key, line in {**names.annotated, **names.assigned}.items():
        if is_setting(key):
            what = "has no effect in this file"
            todo = "move it to group_data/run.py, or into the data of a host in the inventory"
            yield _problem(path, line, key, what, todo)


def _without_group(path: Path, groups: set[str]) -> Problem | None:
    group = path.stem
    if group in groups or group.startswith("@"):  # a connector's group
        return None
    meant = {*near(group, [*KNOWN, "all", *groups], cutoff=MISSPELT)} - {group}
    guess = did_you_mean(f"{other}.py" for other in sorted(meant))
    where = f"{shown_path(path)}: no inventory beside this file has a group {group}"
    todo = f"write {group} = [] in the inventory, or remove the file"
    return Problem(where, todo=f"{guess} If not, {todo}" if guess else todo)


def _problem(path: Path, line: int, key: str, what: str, todo: str) -> Problem:
    return Problem(f"{shown_path(path)}:{line}: {key}: {what}", todo=todo)


def shown_path(path: Path) -> str:
    """Return a path for messages: relative if it is below the working directory."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@dataclass
class _Names:
    """
    The names that a file binds when it runs, each with its line.

    ``exported`` is what ``__all__`` lists; None without it. ``is_dynamic``: other names are
    possible, which only a run of the file would tell.
    """

    assigned: dict[str, int] = field(default_factory=dict)
    annotated: dict[str, int] = field(default_factory=dict)
    imported: dict[str, int] = field(default_factory=dict)
    exported: set[str] | None = None
    is_dynamic: bool = False


@cache  # each host of a run asks for them
def _names(path: Path) -> _Names:
    found = _Names()
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, ValueError, SyntaxError):  # beside what pyinfra runs may be anything
        return _Names(is_dynamic=True)
    typed: set[str] = set()
    for node in _executed(tree):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=None):
                if is_setting(name):
                    found.annotated[name] = node.lineno
                    typed |= {name} if isinstance(node.annotation, _TYPES) else set()
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() | ast.Tuple()):
                found.exported = set(_texts(node.value))
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found.is_dynamic |= names[0].name == "*"
                bound = (alias.asname or alias.name.partition(".")[0] for alias in names)
                found.imported |= dict.fromkeys(bound, node.lineno)
            case ast.Name(id=name, ctx=ast.Store()):
                found.assigned[name] = node.lineno
            case ast.Name(id=name):
                found.is_dynamic |= name in _DYNAMIC
    for name in typed & found.assigned.keys():
        del found.annotated[name]  # the type of a setting that has a value
    return found


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when the file is read, which functions and classes do later."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        yield child
        if not isinstance(child, ast.AnnAssign) or child.value is not None:
            yield from _executed(child)


def _texts(node: ast.AST) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value
