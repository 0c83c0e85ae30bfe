"""Where a run writes its records, one file for each host."""

from __future__ import annotations

import json
from pathlib import Path

from pyinfra_gvisor.base.atomic_write import write_whole
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.compatibility.record import Record
from pyinfra_gvisor.report.names import file_name

DIRECTORY = "compatibility"  # below gvisor_report_dir


def write_record(directory: str | Path, host: str, record: Record) -> Path:
    """
    Write a host's record to ``compatibility/`` in ``directory``. Return its path.

    Raises ``Problem`` with file and reason if the record cannot be written.
    """
    path = Path(directory) / DIRECTORY / f"{file_name(host)}.json"
    write_to(path, record, todo="set gvisor_report_dir to a directory that you may write to")
    return path


def write_to(path: Path, record: Record, *, todo: str) -> None:
    """Write a record. Raises ``Problem`` with the reason and ``todo`` if that fails."""
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, 0o644)
    except OSError as error:
        what = f"{path}: the record cannot be written: {error.strerror}"
        raise Problem(what, todo=todo) from None
