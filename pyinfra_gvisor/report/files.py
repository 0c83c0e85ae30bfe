"""Write reports as files on the controller. Each file is replaced as a whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyinfra_gvisor.base.atomic_write import write_whole
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.report.document import FleetReport, HostReport
from pyinfra_gvisor.report.junit import junit
from pyinfra_gvisor.report.names import host_path
from pyinfra_gvisor.report.page import page
from pyinfra_gvisor.report.sarif import sarif
from pyinfra_gvisor.report.textfile import fleet_textfile


def write_host(directory: str | Path, report: HostReport) -> Path:
    """
    Write ``hosts/<name>.json`` into ``directory``, which is created if it is missing.

    Raises ``Problem`` with the file and the reason if writing fails.
    """
    path = Path(directory) / host_path(report.host)
    _write(path, _json(report.to_json()))
    return path


def write_fleet(directory: str | Path, report: FleetReport) -> tuple[Path, ...]:
    """
    Write the fleet's report in all its forms into ``directory``, which is created if it is missing.

    Reports of hosts that are no longer in the fleet stay. Raises ``Problem`` with the file and the
    reason if writing fails.
    """
    forms = {
        "fleet.json": _json(report.to_json()),
        "fleet.html": page(report),
        "fleet.junit.xml": junit(report),
        "fleet.sarif": sarif(report),
        "fleet.prom": fleet_textfile(report),
    }
    for name, text in forms.items():
        _write(Path(directory) / name, text)
    return tuple(Path(directory) / name for name in forms)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, 0o644)
    except OSError as error:
        raise Problem(
            f"{path}: the report cannot be written: {error.strerror}",
            todo="set gvisor_report_dir to a directory that you can write to",
        ) from None
