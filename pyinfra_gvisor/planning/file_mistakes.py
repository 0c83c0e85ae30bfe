"""Mistakes in an operator's Python files that Python or pyinfra would tell in their own words."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem

_JSON = {"true": "True", "false": "False", "null": "None"}


def refuse_mistakes(paths: Iterable[Path], inventory: Path | None = None) -> None:
    """
    Raise ``Problem`` with file and line for the first mistake in these files.

    Python cannot read the file. Or, in a setting or a list of hosts, a text has no quotes, or two
    texts have no comma between them, so that Python would join them. No value is repeated, because
    it may be a secret. Files that cannot be opened are left to pyinfra.

    + paths: group data, config and deploys
    + inventory: the inventory, whose lists are hosts
    """
    for path in (*paths, *([inventory] if inventory else [])):
        try:
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text, path)
        except SyntaxError as error:
            problem = error.msg or "Python cannot read it"
            raise Problem(f"{path}:{error.lineno}: {problem}", todo=_bracket(problem)) from None
        except (OSError, ValueError, RecursionError, MemoryError):
            continue
        known = _defined(tree)
        for value in _values(tree, every=path == inventory):
            for line, what, todo in (*_joined(value, text), *_unquoted(value, known)):
                raise Problem(f"{path}:{line}: {what}", todo=todo)


def _bracket(problem: str) -> str:
    if "never closed" in problem:
        return "write the bracket that closes it"
    if "Maybe you meant '=='" in problem:
        return "write a setting as gvisor_name = value, with underscores"
    return "look for a missing comma, quote or bracket at or before this line"


def _values(tree: ast.Module, *, every: bool) -> Iterator[ast.expr]:
    """Yield the values of settings; of ``every`` list too, as an inventory has them."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            is_setting = any(name.startswith("gvisor_") for name in names)
            if is_setting or (every and isinstance(node.value, ast.List)):
                yield node.value


def _joined(value: ast.expr, text: str) -> Iterator[tuple[int, str, str]]:
    """Yield texts of a list that Python joins, because a line has no comma at its end."""
    for item in value.elts if isinstance(value, ast.List) else ():
        is_text = isinstance(item, ast.Constant) and isinstance(item.value, str)
        if is_text and item.end_lineno and item.end_lineno > item.lineno:
            source = ast.get_source_segment(text, item) or '"""'
            if '"""' not in source and "'''" not in source:
                yield item.lineno, "no comma between this text and the next one", "write a comma"


def _unquoted(value: ast.expr, known: set[str] | None) -> Iterator[tuple[int, str, str]]:
    """Yield names that nothing defines: texts without quotes. ``known`` is None if any may be."""
    own = {node.id for node in ast.walk(value) if isinstance(node, ast.Name) and _stores(node)}
    for node in ast.walk(value):
        if isinstance(node, ast.Name) and known is not None and node.id not in known | own:
            word = _JSON.get(node.id)
            what = f"{node.id} is no value of Python" if word else "a text without quotes"
            yield node.lineno, what, f"write {word or 'it in quotes'}"


def _defined(tree: ast.Module) -> set[str] | None:
    """Return every name that a file may define; None if names can come from elsewhere."""
    found = {*dir(builtins), "__file__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(item.asname or item.name).partition(".")[0] for item in node.names}
        elif isinstance(node, ast.Name) and _stores(node):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Match | ast.Try | ast.Global):
            return None
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    elsewhere = {"*"} & found or {"globals", "locals", "vars", "exec", "eval"} & used
    return None if elsewhere else found


def _stores(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)
