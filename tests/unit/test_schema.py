"""The schema and the settings table are made from the settings, and are fresh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.schema import (
    SCHEMA_FILE,
    schema_text,
    settings_table,
    tables,
    with_table,
)
from pyinfra_gvisor.settings import Settings

KEYS = [f"gvisor_{name}" for name in Settings.model_fields]


def test_the_committed_schema_is_fresh() -> None:
    assert SCHEMA_FILE.read_text() == schema_text(), "run python -m pyinfra_gvisor.schema"


@pytest.mark.parametrize(
    ("path", "name", "table"), [pytest.param(*table, id=table[1]) for table in tables()]
)
def test_a_committed_table_is_fresh(path: Path, name: str, table: str) -> None:
    page = path.read_text()

    assert table in page
    assert page == with_table(page, name, table), "run python -m pyinfra_gvisor.schema"


def test_the_schema_refuses_keys_that_are_not_ours() -> None:
    assert json.loads(schema_text())["additionalProperties"] is False


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in KEYS])
def test_every_key_is_in_the_schema_and_has_a_row_that_says_what_it_means(key: str) -> None:
    rows = [line for line in settings_table().splitlines() if line.startswith(f"| `{key}` ")]

    assert json.loads(schema_text())["properties"][key]["description"]
    assert len(rows) == 1
    assert len(rows[0].replace("\\|", "").split("|")) == 6


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in Runtime.model_fields])
def test_every_key_of_a_runtime_is_in_the_schema_and_is_named_in_the_table(key: str) -> None:
    (row,) = (line for line in settings_table().splitlines() if "| `gvisor_runtimes` " in line)

    assert json.loads(schema_text())["$defs"]["Runtime"]["properties"][key]["description"]
    assert f"`{key}`" in row


def test_the_table_replaces_what_is_between_its_marks_and_nothing_else() -> None:
    page = "before\n<!-- x -->\nold\n<!-- /x -->\nbehind\n"

    assert with_table(page, "x", "new\n") == "before\n<!-- x -->\nnew\n<!-- /x -->\nbehind\n"
