"""The schema and the settings table are made from the settings, and are fresh."""

from __future__ import annotations

import json

import pytest

from pyinfra_gvisor.schema import (
    BEGIN,
    END,
    README_FILE,
    SCHEMA_FILE,
    schema_text,
    settings_table,
    with_table,
)
from pyinfra_gvisor.settings import Settings

KEYS = [f"gvisor_{name}" for name in Settings.model_fields]


def test_the_committed_schema_is_fresh() -> None:
    assert SCHEMA_FILE.read_text() == schema_text(), "run python -m pyinfra_gvisor.schema"


def test_the_table_in_the_readme_is_fresh() -> None:
    readme = README_FILE.read_text()

    assert readme == with_table(readme), "run python -m pyinfra_gvisor.schema"


def test_the_schema_refuses_keys_that_are_not_ours() -> None:
    assert json.loads(schema_text())["additionalProperties"] is False


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in KEYS])
def test_every_key_is_in_the_schema_and_has_a_row_that_says_what_it_means(key: str) -> None:
    rows = [line for line in settings_table().splitlines() if line.startswith(f"| `{key}` ")]

    assert json.loads(schema_text())["properties"][key]["description"]
    assert len(rows) == 1
    assert len(rows[0].replace("\\|", "").split("|")) == 6


def test_the_table_replaces_what_is_between_its_marks_and_nothing_else() -> None:
    readme = f"before\n{BEGIN}old\n{END}behind\n"

    assert with_table(readme) == f"before\n{BEGIN}{settings_table()}{END}behind\n"
