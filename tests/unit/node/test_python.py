"""The Python of a node: what a node tells of it, and which programs of ours cannot run with it."""

from __future__ import annotations

from pathlib import Path

from pyinfra_gvisor.node.python import Python
from tests.table import table
from tests.unit.node_script import Machine

NEEDS = "the sample needs"
INSTALL = "apt-get install python3"


@table(
    "link, found",
    two_links=("alternatives", "3.13"),
    to_nothing=("nowhere", ""),
    none=(None, ""),
)
def test_the_version_is_behind_all_links(tmp_path: Path, link: str | None, found: str) -> None:
    machine = Machine(tmp_path)
    (machine.root / "python3.13").touch()
    (machine.root / "alternatives").symlink_to("python3.13")
    if link:
        (machine.root / "python3").symlink_to(machine.root / link)

    assert machine.node().python == Python(version=found)


@table("modules", minimal=(), one=("json",), all=("asyncio", "ctypes", "json"))
def test_the_modules_are_those_of_that_version(tmp_path: Path, modules: tuple[str, ...]) -> None:
    machine = Machine(tmp_path)
    (machine.root / "python3.13").touch()
    (machine.root / "python3").symlink_to("python3.13")
    for name in (*(f"python3.13/{module}" for module in modules), "python3.11/re"):
        directory = machine.root / "lib" / name
        directory.mkdir(parents=True)
        (directory / "__init__.py").touch()
    (machine.root / "lib" / "python3.11" / "dataclasses.py").touch()

    assert machine.node().python == Python(version="3.13", modules=modules)


@table(
    "line, message",
    no_python=("", f"Python 3.10 or later, got none; {INSTALL}"),
    too_old=("3.9 json", f"Python 3.10 or later, got 3.9; {INSTALL}"),
    minimal=("3.13", f"Python's json, which python3-minimal lacks, got Python 3.13; {INSTALL}"),
    the_oldest=("3.10 json", None),
    with_more=("3.12.3 asyncio json", None),
    of_later=("4.0 json", None),
)
def test_what_it_lacks_is_told_with_what_to_do(line: str, message: str | None) -> None:
    problem = Python.of(line).lacks(NEEDS, "json")

    assert (problem and str(problem)) == (message and f"{NEEDS} {message}")
