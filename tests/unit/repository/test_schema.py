"""The schema and the tables in the docs are made from the code, and are fresh."""

import json
from pathlib import Path

import pytest

from pyinfra_gvisor.audit.age_rules import PACKAGE_RULES
from pyinfra_gvisor.audit.judge import NODE_RULES, RUNNING_RULES
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.settings import Settings
from tools.published.doc_tables import (
    ENTRIES,
    RULE_GROUPS,
    SETTING_GROUPS,
    keys_of,
    settings_sections,
    tables,
    with_table,
)
from tools.published.schema import SCHEMA_FILE, schema_text

KEYS = [f"gvisor_{name}" for name in Settings.model_fields]


def test_the_committed_schema_is_fresh_and_refuses_keys_that_are_not_ours() -> None:
    assert SCHEMA_FILE.read_text() == schema_text(), "run python -m tools docs"
    assert json.loads(schema_text())["additionalProperties"] is False


@pytest.mark.parametrize(
    ("path", "name", "table"), [pytest.param(*table, id=table[1]) for table in tables()]
)
def test_a_committed_table_is_fresh(path: Path, name: str, table: str) -> None:
    page = path.read_text()

    assert table in page
    assert page == with_table(page, name, table), "run python -m tools docs"


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in KEYS])
def test_every_key_is_in_the_schema_and_has_a_section_that_says_what_it_means(key: str) -> None:
    _, _, section = settings_sections().partition(f"### `{key}`\n\n")
    kind, meaning = section.strip().split("\n\n")[:2]

    assert json.loads(schema_text())["properties"][key]["description"] == meaning
    assert kind.startswith("Type: ")
    assert ". Default: `" in kind


def test_every_key_has_one_section_and_every_rule_of_the_audit_is_in_one_table() -> None:
    keys = [name for names in SETTING_GROUPS.values() for name in names]
    rules = [rule.id for rules in RULE_GROUPS.values() for rule in rules]
    every = (*NODE_RULES, *RUNNING_RULES, *PACKAGE_RULES)

    assert sorted(keys) == sorted(Settings.model_fields)
    assert sorted(rules) == sorted(rule.id for rule in every)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        pytest.param(model, key, id=f"{model.__name__}-{key}")
        for model in ENTRIES.values()
        for key in model.model_fields
    ],
)
def test_every_key_of_a_dict_in_a_setting_is_in_the_schema_and_has_a_row(
    model: type[Strict], key: str
) -> None:
    rows = [line for line in keys_of(model).splitlines() if line.startswith(f"| `{key}` ")]

    assert json.loads(schema_text())["$defs"][model.__name__]["properties"][key]["description"]
    assert len(rows) == 1
    assert keys_of(model) in settings_sections()


def test_the_table_replaces_what_is_between_its_marks_and_nothing_else() -> None:
    page = "before\n<!-- x -->\nold\n<!-- /x -->\nbehind\n"

    assert with_table(page, "x", "new\n") == "before\n<!-- x -->\nnew\n<!-- /x -->\nbehind\n"
