"""The published schema of reports fits what is written, and is fresh."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyinfra_gvisor.published.schema import REPORT_FILE, report_schema_text
from tests.unit.reports import GONE, WEB, every_state, failed, host, unknown, with_firewall

SCHEMA: dict[str, Any] = json.loads(REPORT_FILE.read_text())


def fits(document: dict[str, Any]) -> bool:
    """Whether the schema takes the document."""
    return bool(Draft202012Validator(SCHEMA).is_valid(document))


def test_the_committed_schema_is_fresh() -> None:
    assert REPORT_FILE.read_text() == report_schema_text(), "run pyinfra-gvisor schema write"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(host("run-1").to_json(), id="clean-host"),
        pytest.param(failed().to_json(), id="failed-host"),
        pytest.param(unknown("run-4").to_json(), id="unknown-host"),
        pytest.param(every_state().to_json(), id="fleet"),
        pytest.param(with_firewall(stopped=(WEB, GONE)).to_json(), id="host-with-a-firewall"),
    ],
)
def test_a_document_fits_the_schema_with_what_is_worked_out(document: dict[str, Any]) -> None:
    assert fits(document)
    for key in {"compliant", "state", "version"} & set(document):
        assert not fits({name: value for name, value in document.items() if name != key})
    assert not fits({**document, "compliant": "yes"})
    assert not fits({**document, "more": 1})


def test_every_state_is_in_the_schema_and_no_other() -> None:
    states = {document["state"] for document in every_state().to_json()["hosts"]}

    assert set(SCHEMA["$defs"]["HostReport"]["properties"]["state"]["enum"]) == states
