"""A table for docs/sample.md."""

from __future__ import annotations

from pyinfra_gvisor.parts.sample.plan import FILE
from pyinfra_gvisor.parts_common.tables import Table

TABLES = (Table("sample.md", "sample", lambda: f"| file |\n|---|\n| `{FILE}` |\n"),)
