"""Mistakes in an operator's Python files that Python or pyinfra would tell in their own words."""

from __future__ import annotations

import ast
import builtins
import io
import json
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem

_JSON = {"true": "True", "false": "False", "null": "None"}
_OPENING, _CLOSING = "([{", ")]}"


def refuse_mistakes(paths: Iterable[Path]) -> None:
    """
    Raise ``Problem`` with file and line for the first mistake in these files.

    Python cannot read the file, a name has no quotes, or two texts of a list have no comma between
    them: Python would join the texts. Files that cannot be opened are left to pyinfra.

    + paths: inventory, group data, config and deploys
    """
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        try:
            tree = ast.parse(text, path)
        except SyntaxError as error:
            problem = error.msg or "Python cannot read it"
            raise Problem(f"{path}:{error.lineno}: {problem}", todo=_bracket(problem)) from None
        for line, what, todo in (*_joined(text), *_unquoted(tree)):
            raise Problem(f"{path}:{line}: {what}", todo=todo)


def _bracket(problem: str) -> str:
    if "never closed" in problem:
        return "write the bracket that closes it"
    if "Maybe you meant '=='" in problem:
        return "write a setting as gvisor_name = value, with underscores"
    return "look for a missing comma, quote or bracket at or before this line"


def _joined(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield texts that follow each other in a list with no comma between them."""
    brackets: list[str] = []
    before: tokenize.TokenInfo | None = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.COMMENT):
            continue
        if token.type == tokenize.OP and token.string in _OPENING:
            brackets.append(token.string)
        elif token.type == tokenize.OP and token.string in _CLOSING:
            brackets.pop()
        follows = before is not None and before.type == token.type == tokenize.STRING
        if before and follows and brackets[-1:] == ["["] and before.end[0] != token.start[0]:
            line = before.end[0]
            yield line, f"no comma after {before.string}", f"write {before.string},"
        before = token


def _unquoted(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield names that the file uses and does not define."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    known = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | {*dir(builtins)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(item.asname or item.name).partition(".")[0] for item in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            known.add(node.name)
    if {"*", "globals", "exec", "vars"} & (known - {*dir(builtins)} | {node.id for node in names}):
        return  # names may come from elsewhere
    for node in names:
        if node.id not in known and not node.id.startswith("__"):
            value = _JSON.get(node.id, json.dumps(node.id))
            yield node.lineno, f"{node.id} is not defined", f"write {value}"
