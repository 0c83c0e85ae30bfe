"""Read the report that an earlier run wrote about a host."""

from __future__ import annotations

import json
from pathlib import Path

from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.names import host_path

WORKED_OUT = frozenset({"compliant", "state"})  # fields that are computed from the others


def earlier(directory: str | Path, host: str) -> HostReport | None:
    """Return the report on ``host`` in ``directory``; None if no readable report exists."""
    try:
        document = json.loads((Path(directory) / host_path(host)).read_text(encoding="utf-8"))
        known = {key: value for key, value in document.items() if key not in WORKED_OUT}
        found = HostReport.model_validate(known)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if found.host == host else None
