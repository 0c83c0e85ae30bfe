"""Read the reports that an earlier run wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyinfra_gvisor.report.document import FleetReport, HostReport
from pyinfra_gvisor.report.names import host_path

WORKED_OUT = frozenset({"compliant", "state"})  # fields that are computed from the others


def earlier(directory: str | Path, host: str) -> HostReport | None:
    """Return the report on ``host`` in ``directory``; None if no readable report exists."""
    try:
        found = HostReport.model_validate(_document(Path(directory) / host_path(host)))
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if found.host == host else None


def read_fleet(directory: Path) -> FleetReport | None:
    """
    Return the fleet's report in ``directory``; None if there is none.

    Raises ``ValueError`` if it is damaged.
    """
    path = directory / "fleet.json"
    return FleetReport.model_validate(_document(path)) if path.exists() else None


def _document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), object_hook=_given)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a report, without those that are computed."""
    if "compliant" not in fields:
        return fields
    return {key: value for key, value in fields.items() if key not in WORKED_OUT}
