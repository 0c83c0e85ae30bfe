"""A part more is a folder, an operation, a word in the list, docs and tests, and nothing else."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SAMPLE = Path(__file__).parent / "new_part"
COPIED = (
    *("pyinfra_gvisor", "deploys", "facts", "operations", "run_support", "docs", "tests", "tools"),
    *("README.md", "pyproject.toml"),
)
NOT_NEEDED = {"node", "vm", "bench", "packaging", "new_part"}  # of tests
LIST = "pyinfra_gvisor/parts_common/members.py"
OWN = {
    **{
        f"pyinfra_gvisor/parts/sample/{path.name}": path
        for path in (SAMPLE / "folder").iterdir()
        if path.is_file()
    },
    "operations/sample.py": SAMPLE / "operation.py",
    "docs/sample.md": SAMPLE / "page.md",
    "tests/unit/parts/test_sample.py": SAMPLE / "tests.py",
}
"""What is written by hand, beside a word in the list."""

MADE = {
    "docs/reference/settings.md": ["### `gvisor_sample`"],
    "docs/reference/audit-rules.md": ["| `sample-other` | low |"],
    "docs/reference/proof-checks.md": ["* `sample-read`: the sentence is not readable"],
    "docs/reference/preflight.md": [
        "* sample: systemd, if `gvisor_sample` is set",
        "* `gvisor_sample = None`",
    ],
    "docs/sample.md": ["| `/opt/gvisor/sample/text` |"],
    "pyinfra_gvisor/published/settings.schema.json": ['"gvisor_sample": {'],
}
"""What ``python -m tools docs`` makes of it, and how it begins."""


def _left_out(directory: str, names: list[str]) -> set[str]:
    of_tests = "tests" in Path(directory).relative_to(ROOT).parts
    return set(names) & ({"__pycache__"} | (NOT_NEEDED if of_tests else set()))


class Tree:
    """A copy of what a part can be in, changed by hand and by programs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, symlinks=True, ignore=_left_out)
            else:
                shutil.copy(source, root / name)
        self.before = dict(self._files())

    def _files(self) -> Iterator[tuple[str, str]]:
        for path in self.root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(self.root)), path.read_text()

    def write(self, path: str, text: str) -> None:
        """Write a file by its path in the tree."""
        (self.root / path).parent.mkdir(exist_ok=True)
        (self.root / path).write_text(text)

    def changed(self) -> dict[str, list[str]]:
        """The lines that are new, by file; what is gone is not thought of."""
        return {
            name: [line for line in text.splitlines() if line not in known]
            for name, text in self._files()
            if text != self.before.get(name)
            for known in [self.before.get(name, "").splitlines()]
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A Python program that has this tree's modules."""
        plain = {key: text for key, text in os.environ.items() if key != "PYTEST_ADDOPTS"}
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env={**plain, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The tree with the sample in it."""
    tree = Tree(tmp_path_factory.mktemp("new-part"))
    for path, source in OWN.items():
        tree.write(path, source.read_text())
    listed = tree.before[LIST].replace('"watch")', '"watch", "sample")')
    tree.write(LIST, listed)
    made = tree.run("-m", "tools", "docs")
    assert made.returncode == 0, made.stderr
    assert "wrote " in made.stdout
    return tree


def test_nothing_else_is_changed(tree: Tree) -> None:
    changed = tree.changed()

    assert (set(changed), len(changed[LIST])) == ({LIST, *OWN, *MADE}, 1)
    for path, expected in MADE.items():
        assert all(any(text in line for line in changed[path]) for text in expected), path
    assert tree.run("-m", "tools", "docs").stdout == ""


def test_it_does_what_parts_do_and_nobody_minds(tree: Tree) -> None:
    unit = (
        "parts/test_sample",
        "parts/test_script_parts",
        "repository/test_packages",
        "repository/test_schema",
    )

    ran = tree.run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *(f"tests/unit/{name}.py" for name in unit),
    )

    assert ran.returncode == 0, ran.stdout
