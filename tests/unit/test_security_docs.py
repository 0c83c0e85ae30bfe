"""Every attack that the page on security names is one that a test makes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("<!-- attacks -->\n")[2].partition("<!-- /attacks -->")[0]
ROWS = [line.strip("| ").split(" | ") for line in TABLE.splitlines()[2:]]
TEST = re.compile(r"`(tests/\S+\.py)::(\w+)`")
ATTACKERS = MODEL.partition("## Attackers\n")[2].partition("\n## ")[0]
WHO = re.findall(r"^\| (an? [^|]+?) \| ", ATTACKERS, re.MULTILINE)


@pytest.mark.parametrize("row", [pytest.param(row, id=row[-1].strip("`")) for row in ROWS])
def test_an_attack_is_of_somebody_who_is_named_and_is_made_by_tests(row: list[str]) -> None:
    what, where, held, tests = row

    made = TEST.findall(tests)

    assert all((what, held, made))
    assert where in WHO
    for path, name in made:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}


def test_the_threat_model_names_the_attackers() -> None:
    assert {"a tenant", "a local user"} <= set(WHO)
    assert len(ROWS) > 10
