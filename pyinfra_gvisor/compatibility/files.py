"""Records as files: where a run writes one, and those that the repository keeps, one a row."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from pyinfra_gvisor.compatibility.record import Record
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.report.names import file_name
from pyinfra_gvisor.whole_file import write_whole

DOCS = Path(__file__).parent.parent.parent / "docs"
KEPT = DOCS / "compatibility"
DIRECTORY = "compatibility"  # below gvisor_report_dir


def write_record(directory: str | Path, host: str, record: Record) -> Path:
    """
    Put a host's record into ``compatibility/`` below ``directory``, and return its path.

    Raises ``Problem`` naming the file and the reason if that is not possible.
    """
    path = Path(directory) / DIRECTORY / f"{file_name(host)}.json"
    _write(path, record, "set gvisor_report_dir to a directory that you may write to")
    return path


def read_record(path: Path) -> Record:
    """Return the record in a file. Raises ``Problem`` if the file is not a record."""
    try:
        return Record.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        what = f"{path}: not a record: {place}: {first['msg']}"
        raise Problem(what, got=first["input"], todo="let a run write it again") from None
    except ValueError:
        raise Problem(f"{path}: not a record: the text is not UTF-8") from None


def kept_records(kept: Path = KEPT) -> list[Record]:
    """
    Return the repository's records in the order of their files' names.

    Raises ``Problem`` if a file is not a record, or has the name of another combination.
    """
    records = []
    for path in sorted(kept.glob("*.json")):
        record = read_record(path)
        if path.name != row_name(record):
            todo = f"rename it to {row_name(record)}"
            raise Problem(f"{path}: the name is not that of its record", todo=todo)
        records.append(record)
    return records


def add_records(paths: Sequence[Path], *, docker: str | None, kept: Path = KEPT) -> list[Path]:
    """
    Copy records into the repository, each in the place of an older one of its combination.

    + docker: the Go module and version that the lab built dockerd from, None for a packaged one

    Return the files that were written. Raises ``Problem`` before the first one is written if a file
    is not a record, is older than the one kept, or if two of them have the same combination.
    """
    found: dict[Path, Record] = {}
    for path in paths:
        record = _stated(read_record(path), docker)
        target = kept / row_name(record)
        if target in found:
            raise Problem(f"{path}: another given record is of the same node", got=target.name)
        if target.exists() and (newer := read_record(target).date) > record.date:
            todo = f"keep {target.name} as it is"
            raise Problem(f"{path}: of {record.date}, the one kept is of {newer}", todo=todo)
        found[target] = record
    for target, record in found.items():
        _write(target, record, "run this in a clone of the repository that is yours")
    return list(found)


def row_name(record: Record) -> str:
    """Return the file's name: the same for records that replace each other."""
    words = (
        record.distribution,
        f"docker {record.docker}{' lab build' if record.docker_lab_build else ''}",
        record.image_store,
        f"cgroup v{record.cgroup_version} {record.cgroup_driver}",
        record.arch,
        *([] if record.init == "systemd" else [record.init]),
        f"runsc {record.runsc}{' lab build' if record.runsc_lab_build else ''}",
        record.seen_by,
    )
    return f"{'_'.join(re.sub('[^a-z0-9._]+', '-', word.lower()) for word in words)}.json"


def _stated(record: Record, docker: str | None) -> Record:
    if docker is None:
        return record
    stated = {**record.model_dump(), "docker_lab_build": docker}
    try:
        return Record.model_validate(stated)
    except ValidationError:
        todo = "write a Go module and its version, such as github.com/moby/moby/v2@v2.0.0"
        raise Problem("--docker-lab-build: not a module", got=docker, todo=todo) from None


def _write(path: Path, record: Record, todo: str) -> None:
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, 0o644)
    except OSError as error:
        what = f"{path}: the record cannot be written: {error.strerror}"
        raise Problem(what, todo=todo) from None
