"""The records that the repository keeps: one file for each row of the table."""

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.compatibility.files import write_to
from pyinfra_gvisor.compatibility.record import Record

DOCS = Path(__file__).parents[2] / "docs"
KEPT = DOCS / "compatibility"


def read_record(path: Path) -> Record:
    """Return the record in a file. Raises ``Problem`` if the file is not a valid record."""
    try:
        return Record.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        what = f"{path}: not a record: {place}: {first['msg']}"
        todo = "run deploys/gvisor.py again, which writes this file"
        raise Problem(what, got=first["input"], todo=todo) from None
    except ValueError:
        raise Problem(f"{path}: not a record: the text is not UTF-8") from None


def kept_records(kept: Path = KEPT) -> list[Record]:
    """
    Return the repository's records, sorted by the names of their files.

    Raises ``Problem`` if a file is not a record, or if its name does not match its record.
    """
    records = []
    for path in sorted(kept.glob("*.json")):
        record = read_record(path)
        if path.name != row_name(record):
            todo = f"rename the file to {row_name(record)}"
            raise Problem(f"{path}: the file's name does not match its record", todo=todo)
        records.append(record)
    return records


def add_records(paths: Sequence[Path], *, docker: str | None, kept: Path = KEPT) -> list[Path]:
    """
    Copy records into the repository. Each replaces the older one of the same combination.

    + docker: the Go module and version that the lab built dockerd from, None for a packaged dockerd

    Return the written files. Raises ``Problem`` before the first write if a file is not a record,
    if a record is older than the kept one, or if two records have the same combination.
    """
    found: dict[Path, Record] = {}
    for path in paths:
        record = _stated(read_record(path), docker)
        target = kept / row_name(record)
        if target in found:
            what = f"{path}: another of these records has the same combination"
            raise Problem(what, got=target.name)
        if target.exists() and (newer := read_record(target).date) > record.date:
            todo = f"keep {target.name} as it is"
            what = f"{path}: the record is of {record.date}, but the kept one is of {newer}"
            raise Problem(what, todo=todo)
        found[target] = record
    for target, record in found.items():
        write_to(target, record, todo="run this in a clone of the repository that you may write to")
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
        raise Problem("--docker-lab-build: not a Go module", got=docker, todo=todo) from None
