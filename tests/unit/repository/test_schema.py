"""The schema and the tables in the docs are made from the code, and are fresh."""

import json
import re
from pathlib import Path

import pytest

from pyinfra_gvisor.audit.age_rules import PACKAGE_RULES
from pyinfra_gvisor.audit.annotation_rules import ANNOTATIONS, UNKNOWN
from pyinfra_gvisor.audit.capability_rules import DEFAULT_CAPABILITIES, ROOT_ON_THE_NODE
from pyinfra_gvisor.audit.device_rules import DRIVERS, SENTRYS
from pyinfra_gvisor.audit.judge import NODE_RULES, RUNNING_RULES
from pyinfra_gvisor.audit.security_rules import OPTIONS
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.daemon_json.keys import as_rows
from pyinfra_gvisor.parts.egress.settings import METADATA, PRIVATE, Egress
from pyinfra_gvisor.parts.kernel.defaults import MODULES, SYSCTLS
from pyinfra_gvisor.planning.absence import PROTECTIONS
from pyinfra_gvisor.policy.guarded import GUARDED
from pyinfra_gvisor.proof.checks import CHECKS
from pyinfra_gvisor.runtimes.reviewed import REVIEWED
from pyinfra_gvisor.settings import Settings
from tests.table import table
from tools.published.doc_tables import (
    ENTRIES,
    RULE_GROUPS,
    SETTING_GROUPS,
    keys_of,
    settings_sections,
    tables,
    with_table,
)
from tools.published.schema import (
    RESULTS_FILE,
    SCHEMA_FILE,
    results_schema_text,
    schema_text,
)

KEYS = [f"gvisor_{name}" for name in Settings.model_fields]


def test_the_committed_schemas_are_fresh_and_refuse_keys_that_are_not_ours() -> None:
    assert SCHEMA_FILE.read_text() == schema_text(), "run python -m tools docs"
    assert RESULTS_FILE.read_text() == results_schema_text(), "run python -m tools docs"
    assert json.loads(schema_text())["additionalProperties"] is False


@pytest.mark.parametrize(
    ("path", "name", "text"), [pytest.param(*found, id=found[1]) for found in tables()]
)
def test_a_committed_table_is_fresh(path: Path, name: str, text: str) -> None:
    page = path.read_text()

    assert text in page
    assert page == with_table(page, name, text), "run python -m tools docs"


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in KEYS])
def test_every_key_is_in_the_schema_and_has_a_section_that_says_what_it_means(key: str) -> None:
    _, _, section = settings_sections().partition(f"### `{key}`\n\n")
    kind, meaning = section.strip().split("\n\n")[:2]

    assert json.loads(schema_text())["properties"][key]["description"] == meaning
    assert re.fullmatch(r".+, default `.+`\.", kind)


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
def test_every_key_of_a_dict_in_a_setting_is_in_the_schema_and_in_one_line(
    model: type[Strict], key: str
) -> None:
    rows = [line for line in keys_of(model).splitlines() if f"`{key}`" in line.partition(" (")[0]]

    assert json.loads(schema_text())["$defs"][model.__name__]["properties"][key]["description"]
    assert len(rows) == 1
    assert keys_of(model) in settings_sections()


@table(
    "name, expected",
    rules=("rules", [rule.id for rules in RULE_GROUPS.values() for rule in rules]),
    guarded=("guarded", [item.path for item in GUARDED]),
    annotations=("annotations", [row.name for row in (*ANNOTATIONS, UNKNOWN)]),
    devices=("devices", [*SENTRYS, *(row.path for row in DRIVERS)]),
    security=("security", [row.key for row in OPTIONS]),
    capabilities=("capabilities", [*DEFAULT_CAPABILITIES, *ROOT_ON_THE_NODE]),
    flags=("flags", [row.name for row in REVIEWED]),
    checks=("checks", [check.id for check in CHECKS]),
    keys=("keys", [row[0] for row in as_rows()]),
    protections=("protections", [f"gvisor_{row.key} = {row.off}" for row in PROTECTIONS]),
    blocked=("blocked", [*METADATA, *PRIVATE]),
    modules=("modules", [*MODULES]),
    sysctls=("sysctls", [f"{key}={item.value}" for key, item in SYSCTLS.items()]),
)
def test_every_name_is_in_one_line_of_its_table(name: str, expected: list[str]) -> None:
    [text] = [text for _, found, text in tables() if found == name]

    lines = text.splitlines()
    found = {
        item: sum(f"`{item}`" in line or f"`{item}*`" in line for line in lines)
        for item in expected
    }

    assert {item: number for item, number in found.items() if number != 1} == {}


def test_every_key_of_the_firewall_has_a_line_that_says_what_it_means() -> None:
    [text] = [text for _, found, text in tables() if found == "egress"]

    lines = [re.fullmatch(r"\* `(\w+)` \(`.+?`\)\. .+", line) for line in text.splitlines()]

    assert [line and line[1] for line in lines] == [*Egress.model_fields]


def test_the_table_replaces_what_is_between_its_marks_and_nothing_else() -> None:
    page = "before\n<!-- x -->\nold\n<!-- /x -->\nbehind\n"

    assert with_table(page, "x", "new\n") == "before\n<!-- x -->\nnew\n<!-- /x -->\nbehind\n"
