"""The file with the accepted infrastructure: ``infrastructure.json`` beside the group data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pyinfra_gvisor.base.atomic_write import write_whole
from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.dispatch.policy import EXTENDED, Infrastructure
from pyinfra_gvisor.dispatch.shapes import PROJECT_FILES

FILE = "infrastructure.json"
_RESTORE = "repair the file, or restore it from version control"
_MODE = 0o644


def read_accepted(path: Path) -> tuple[Infrastructure, ...]:
    """
    Return the entries in the file ``path``.

    Raises ``Problem`` with line and column, or with the number of the entry and its key, if the
    file is damaged, and if it is missing.
    """
    try:
        return _read(path.resolve(), path.stat().st_mtime_ns, path.stat().st_size)
    except FileNotFoundError:
        todo = (
            "change to the directory of your fleet, or restore this file from version control. If "
            "nothing was accepted yet, run pyinfra-gvisor accept, which writes this file, or "
            "remove gvisor_infrastructure"
        )
        raise Problem(f"{path} does not exist in {Path.cwd()}", todo=todo) from None
    except OSError as error:
        raise Problem(f"{path}: cannot be read: {error.strerror}") from None


def accepted_so_far(path: Path) -> tuple[Infrastructure, ...]:
    """Return the same; no entries if the file does not exist yet."""
    return read_accepted(path) if path.exists() else ()


@lru_cache(maxsize=8)
def _read(path: Path, _changed_ns: int, _size: int) -> tuple[Infrastructure, ...]:
    """Return the entries, read once for all hosts."""
    try:
        found = json.loads(path.read_text("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise Problem(f"{path}: not UTF-8 at byte {error.start}", todo=_RESTORE) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise Problem(f"{path}: {where}: {error.msg}", todo=_RESTORE) from None
    except RecursionError:
        raise Problem(f"{path}: too many brackets", todo=_RESTORE) from None
    if not isinstance(found, list):
        raise Problem(f"{path}: must be a list of entries", got=type(found).__name__, todo=_RESTORE)
    return tuple(_entry(path, number, item) for number, item in enumerate(found, 1))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(f"{FILE}: a key exists twice in an entry", got=twice, todo=_RESTORE)
    return found


def _entry(path: Path, number: int, item: Any) -> Infrastructure:
    try:
        return Infrastructure.model_validate(item)
    except ValidationError as error:
        faults = [_fault(dict(found)) for found in error.errors(include_url=False)]
        raise Problem(f"{path}: entry {number}: {'; '.join(faults)}", todo=_RESTORE) from None


def _fault(error: dict[str, Any]) -> str:
    key = "/".join(map(str, error["loc"]))
    if isinstance(problem := error.get("ctx", {}).get("error"), Problem):
        return f"{key}: {problem}".removeprefix(": ")
    safe = shown(error["input"], [str(part) for part in error["loc"]])
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}, got {cut(safe)}"


def from_file(value: Any) -> Any:
    """Return the entries of the file that a text names; any other value as it is."""
    return read_accepted(Path(value)) if isinstance(value, str) else value


def merged(
    entries: Sequence[Infrastructure], added: Iterable[Infrastructure]
) -> tuple[Infrastructure, ...]:
    """
    Return sorted entries. An added one replaces only entries about the same containers: nodes may
    run an image with other flags, and the judge tries all entries of an image.
    """
    found = [*entries]
    for new in added:
        found = [*(entry for entry in found if not is_same(entry, new)), new]
    return tuple(sorted(found, key=_key))


def is_same(one: Infrastructure, other: Infrastructure) -> bool:
    """
    Return True if two entries are about the same containers. An operator may have written another
    reason, and may have added free variables and optional mounts. One may leave ports open, or the
    files of the project.
    """
    left_out = {"reason", "labels", *EXTENDED}
    if None in (one.ports, other.ports):  # any
        left_out.add("ports")
    open_ = {PROJECT_FILES} - {*one.labels} & {*other.labels}
    labels = ({key: item.labels[key] for key in {*item.labels} - open_} for item in (one, other))
    same = one.model_dump(exclude=left_out) == other.model_dump(exclude=left_out)
    return same and next(labels) == next(labels)


def is_accepted(new: Infrastructure, known: Infrastructure) -> bool:
    """Return True if an entry is known already: the known one leaves no more open."""
    opens = known.ports is None and new.ports is not None
    opens = opens or (PROJECT_FILES in new.labels and PROJECT_FILES not in known.labels)
    return is_same(new, known) and not opens


def _key(entry: Infrastructure) -> tuple[str, str, str]:
    return entry.image, entry.shape or "", json.dumps(entry.written(), sort_keys=True)


def accepted_text(entries: Iterable[Infrastructure]) -> str:
    """Return entries as the text of the file."""
    found = [entry.written() for entry in entries]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def write_accepted(path: Path, entries: Iterable[Infrastructure]) -> None:
    """
    Write entries to the file ``path``, completely or not at all.

    Raises ``Problem`` if the file cannot be written; then it is unchanged.
    """
    target = path.resolve()  # a symlink stays one
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else _MODE
        write_whole(target, accepted_text(entries), mode)
    except OSError as error:
        raise Problem(
            f"{path}: cannot be written: {error.strerror}; nothing was changed",
            todo="run this where you may write the file",
        ) from None
