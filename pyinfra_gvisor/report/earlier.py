"""What an earlier run wrote about a host."""

from __future__ import annotations

import json
from pathlib import Path

from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.names import host_path

WORKED_OUT = frozenset({"compliant", "state"})  # they are in the file, and made from the rest


def earlier(directory: str | Path, host: str) -> HostReport | None:
    """The report on ``host`` that lies in ``directory``; None if there is none that can be read."""
    try:
        document = json.loads((Path(directory) / host_path(host)).read_text(encoding="utf-8"))
        known = {key: value for key, value in document.items() if key not in WORKED_OUT}
        found = HostReport.model_validate(known)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if found.host == host else None
