"""A table for docs/sample.md."""

from __future__ import annotations

from pyinfra_gvisor.part_api.tables import Table
from pyinfra_gvisor.parts.sample.plan import FILE

TABLES = (Table("sample.md", "sample", lambda: f"| file |\n|---|\n| `{FILE}` |\n"),)
