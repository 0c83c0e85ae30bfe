"""House rules that a machine can check, kept as tests so that they stay kept."""

import ast
import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pyinfra.api.arguments import all_global_arguments

from tests.packaging.checkout import ROOT, files, run
from tests.table import table

MAX_FUNCTION_LINES = 40  # from "def" to the last line, docstring included
ACTING = ("facts", "operations", "run_support", "deploys", "inventories")


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = {
        f"{path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in _python()
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }

    assert lengths
    _expect_none(f"{name}: {n} lines" for name, n in lengths.items() if n > MAX_FUNCTION_LINES)


def test_what_decides_imports_neither_pyinfra_nor_docker() -> None:
    acting = {f"pyinfra_gvisor.{folder}" for folder in ACTING}

    _expect_none(
        f"{path} imports {module}"
        for path in _python("pyinfra_gvisor")
        for module in _imports(path)
        if module.split(".")[0] in ("docker", "pyinfra", "testinfra", "tools")
        or ".".join(module.split(".")[:2]) in acting
    )


def test_no_operation_takes_an_argument_that_pyinfra_swallows() -> None:
    swallowed = {name for name, _ in all_global_arguments()}

    taken = {name: swallowed & set(_parameters(function)) for name, function in _operations()}

    assert taken
    assert "name" in swallowed
    _expect_none(f"{name}: {', '.join(found)}" for name, found in taken.items() if found)


def test_an_operations_arguments_are_keywords_from_the_second_on_and_documented() -> None:
    _expect_none(
        f"{name}: {parameter.name}"
        for name, function in _operations()
        for position, parameter in enumerate(_parameters(function).values())
        if (position and parameter.kind is not parameter.KEYWORD_ONLY)
        or f"+ {parameter.name}: " not in (function.__doc__ or "")
    )


def test_shellcheck_finds_nothing() -> None:
    scripts = [path for path in files() if path.suffix == ".sh" or _runs_in_a_shell(path)]

    assert scripts
    assert shutil.which("shellcheck"), "shellcheck is not installed; run .ci/setup"
    run("shellcheck", *scripts)


def test_no_directory_passes_for_a_program() -> None:
    """dockerd makes a directory, which is executable, where a container mounts what is missing."""
    scripts = [path for path in files("pyinfra_gvisor") if path.suffix == ".sh"]

    _expect_none(
        f"{path}:{number}: {line.strip()}"
        for path in scripts
        for number, line in enumerate(_text(path).splitlines(), 1)
        for program in re.findall(r"\[ (?:! )?-x (\S+) \]", line)
        if f" -f {program} ]" not in line and "/etc/docker" not in program
    )


@table("suffix, check", perl=(".pl", ("perl", "-wc")), php=(".php", ("php", "-l")))
def test_every_script_compiles(suffix: str, check: tuple[str, str]) -> None:
    for path in (path for path in files() if path.suffix == suffix):
        run(*check, path)


@table(
    "words",
    ruff_check=("ruff", "check", "--no-fix", "--output-format=concise", "."),
    ruff_format=("ruff", "format", "--diff", "."),
    mypy=("mypy",),
)
def test_a_checker_finds_nothing(words: tuple[str, ...]) -> None:
    run(sys.executable, "-m", *words)


def _expect_none(problems: Iterable[str]) -> None:
    found = sorted(problems)
    assert not found, "\n".join(found)


def _python(*folders: str) -> list[Path]:
    found = [path for path in files(*folders) if path.suffix == ".py"]
    assert found
    return found


def _runs_in_a_shell(path: Path) -> bool:
    return not path.suffix and _text(path).split("\n")[0].startswith("#!") and _names_sh(path)


def _names_sh(path: Path) -> bool:
    return _text(path).split("\n")[0].split()[-1].rpartition("/")[2] in ("sh", "bash")


def _text(path: Path) -> str:
    return (ROOT / path).read_text()


def _tree(path: Path) -> ast.Module:
    return ast.parse(_text(path), filename=str(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _operations() -> Iterator[tuple[str, Callable[..., Any]]]:
    for path in _python("operations"):
        module = importlib.import_module(f"pyinfra_gvisor.operations.{path.stem}")
        for name, function in inspect.getmembers(module, callable):
            if hasattr(function, "_inner") and function.__module__ == module.__name__:
                yield f"{path.stem}.{name}", function._inner


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)
