"""Nodes run the judge with the oldest Python that they have, and without any package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "pyinfra_gvisor" / "judge").glob("*.py"))
OLDEST = (3, 10)  # Ubuntu 22.04
# Prints which modules are loaded that are not Python's own.
_LOADED = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(f"pyinfra_gvisor.judge.{name}")
own = sys.stdlib_module_names
print(*sorted({name.partition(".")[0] for name in sys.modules} - own))
"""


def test_the_judge_needs_nothing_but_python() -> None:
    names = [path.stem for path in FILES if path.stem != "__init__"]

    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", _LOADED, str(ROOT), *names],
        check=True,
        capture_output=True,
        text=True,
    )

    assert ran.stdout.split() == ["__main__", "pyinfra_gvisor"]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_the_oldest_python_of_a_node_reads_it(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=OLDEST)
