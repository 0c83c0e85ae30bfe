"""
Generate the JSON schemas, and the tables in the docs, from the definitions that the code uses.

``python -m tools docs`` writes them. A test fails if they are out of date.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from pyinfra_gvisor.parts.keeper.isolation import Isolation
from pyinfra_gvisor.report.document import FleetReport, HostReport
from pyinfra_gvisor.report.results import Results
from pyinfra_gvisor.report.statement import Statement
from pyinfra_gvisor.settings import Settings
from tools.published.doc_tables import tables, with_table

PACKAGED = Path(__file__).parents[2] / "pyinfra_gvisor/published"
SCHEMA_FILE = PACKAGED / "settings.schema.json"
REPORT_FILE = PACKAGED / "report.schema.json"
RESULTS_FILE = PACKAGED / "results.schema.json"
STATEMENT_FILE = PACKAGED / "statement.schema.json"
ISOLATION_FILE = PACKAGED / "isolation.schema.json"


def schema_text() -> str:
    """Return the JSON schema of all ``gvisor_*`` keys."""
    schema = Settings.model_json_schema(by_alias=True)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def report_schema_text() -> str:
    """Return the JSON schema of a report, of one host or of the fleet."""
    kinds, schema = models_json_schema(
        [(HostReport, "serialization"), (FleetReport, "serialization")],
        title="A report of pyinfra-gvisor: one host, or all hosts of a run",
    )
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema["title"],
        "oneOf": list(kinds.values()),
        "$defs": schema["$defs"],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def results_schema_text() -> str:
    """Return the JSON schema of what the commands that look print with ``--json``."""
    return _text(Results.model_json_schema(mode="serialization"))


def statement_schema_text() -> str:
    """Return the JSON schema of a statement."""
    return _text(Statement.model_json_schema(mode="serialization"))


def isolation_schema_text() -> str:
    """Return the JSON schema of what a node tells of its isolation."""
    return _text(Isolation.model_json_schema())


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_all() -> list[Path]:
    """Write the files that are out of date, and return their paths."""
    wanted = {
        SCHEMA_FILE: schema_text(),
        REPORT_FILE: report_schema_text(),
        RESULTS_FILE: results_schema_text(),
        STATEMENT_FILE: statement_schema_text(),
        ISOLATION_FILE: isolation_schema_text(),
    }
    for path, name, table in tables():
        page = wanted.get(path) or path.read_text(encoding="utf-8")
        wanted[path] = with_table(page, name, table)
    stale = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return stale
