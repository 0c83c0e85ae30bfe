"""The file with the lock of releases: its form, and how to read, check and write it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, field_validator

from pyinfra_gvisor.base.atomic_write import write_whole
from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.releases import ARCHES, Release, parse_release
from pyinfra_gvisor.releases.known import escapes_in, floor

PACKAGED = Path(__file__).with_name("lock.json")

# The last release of loose files; all later ones are archives: google/gvisor#13718
LAST_LOOSE = Release(20260817, 0)
FILES: Mapping[str, tuple[str, ...]] = {
    "loose": ("runsc", "containerd-shim-runsc-v1"),
    "archive": ("gvisor.tar.bz2",),
}

Arch = Literal["x86_64", "aarch64"]
Layout = Literal["loose", "archive"]
Sha512 = Annotated[str, Field(pattern="^[0-9a-f]{128}$")]  # Rust: $ is the very end
Somewhere = Annotated[str, Field(pattern=r"\S")]


def _canonical(name: str) -> str:
    if (plain := str(parse_release(name))) != name:
        raise Problem("not the usual form of this release", got=name, todo=f"write {plain}")
    return name


ReleaseName = Annotated[str, AfterValidator(_canonical)]


class BadLock(Problem):
    """A lock that cannot be trusted; one line for each fault."""


class _Exact(Strict):
    model_config = ConfigDict(strict=True)


class Entry(_Exact):
    """The checksums of one release's files, and where independent sources have the same ones."""

    layout: Layout
    sha512: dict[Arch, dict[str, Sha512]]
    corroborated: dict[Arch, Somewhere]

    @field_validator("sha512", "corroborated")
    @classmethod
    def _both(cls, value: dict[str, Any]) -> dict[str, Any]:
        if missing := [arch for arch in ARCHES if arch not in value]:
            raise Problem(f"must also have {' and '.join(missing)}", got=sorted(value))
        return value


class Lock(_Exact):
    """All known releases, the newest first, and the default release."""

    default: ReleaseName
    releases: dict[ReleaseName, Entry]


def layout_of(release: Release) -> Layout:
    """Return how ``release`` is published: as loose files or as one archive."""
    return "archive" if release > LAST_LOOSE else "loose"


def read_lock(path: Path) -> Lock:
    """
    Return the lock in the file ``path``.

    Raises ``BadLock`` with file and key if the lock is wrong, ``Problem`` if it cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadLock(f"{path}: not UTF-8 at byte {error.start}; {_RESTORE}") from None
    except OSError as error:
        raise Problem(f"{path}: cannot be read: {error.strerror}", todo="check --lock") from None
    try:
        return Lock.model_validate(json.loads(text, object_pairs_hook=_unique))
    except ValidationError as error:
        lines = [f"{path}: {_explain(dict(item))}" for item in error.errors(include_url=False)]
        raise BadLock("\n".join(lines)) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise BadLock(f"{path}: {where}: {error.msg}; {_RESTORE}") from None
    except (Problem, RecursionError) as error:
        raise BadLock(f"{path}: {error}; {_RESTORE}") from None


def faults(lock: Lock) -> Iterator[str]:
    """Yield the faults of a well-formed lock: ``key: what is wrong, got what; what to do``."""
    names = list(lock.releases)
    if names != sorted(names, key=parse_release, reverse=True):
        yield "releases: not in order; put the newest first"
    if lock.default not in lock.releases:
        todo = "add this release"
        yield f"default: {Problem('not among the releases', got=lock.default, todo=todo)}"
    if escapes := escapes_in(parse_release(lock.default)):
        what = f"open to {', '.join(escape.id for escape in escapes)}"
        todo = f"choose {floor()} or later"
        yield f"default: {Problem(what, got=lock.default, todo=todo)}"
    for name, entry in lock.releases.items():
        yield from _misfits(name, entry)
    yield from _equal_sums(lock)


def lock_text(lock: Lock) -> str:
    """Return the lock as the text of its file."""
    return json.dumps(lock.model_dump(), indent=2, ensure_ascii=False) + "\n"


def with_entry(lock: Lock, release: str, entry: Entry) -> Lock:
    """Return ``lock`` with one more entry, sorted, the newest release first."""
    entries = {**lock.releases, release: entry}
    names = sorted(entries, key=parse_release, reverse=True)
    return Lock(default=lock.default, releases={name: entries[name] for name in names})


def write_lock(path: Path, lock: Lock) -> None:
    """
    Write ``lock`` to the file ``path``, completely or not at all.

    Raises ``Problem`` if the file cannot be written; then it is unchanged.
    """
    target = path.resolve()  # a symlink stays one
    try:
        write_whole(target, lock_text(lock), target.stat().st_mode & 0o777)
    except OSError as error:
        raise Problem(
            f"{path}: cannot be written: {error.strerror}; nothing was changed",
            todo="use the line for group data instead, or run this where you may write the file",
        ) from None


_RESTORE = "restore this file from the repository, or install this package again"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Refuse equal keys, of which ``json`` would use the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("a key exists twice", got=twice)
    return found


def _explain(error: dict[str, Any]) -> str:
    key = "/".join(str(part) for part in error["loc"] if part != "[key]") or "top"
    if isinstance(problem := error.get("ctx", {}).get("error"), Problem):
        return f"{key}: {problem}; {_RESTORE}"
    what = f"{error['msg'][0].lower()}{error['msg'][1:]}"
    return f"{key}: {what}, got {cut(error['input'])}; {_RESTORE}"


def _misfits(name: str, entry: Entry) -> Iterator[str]:
    layout = layout_of(parse_release(name))
    if entry.layout != layout:
        what = f"must be {layout} for a release of this date"
        yield f"releases/{name}/layout: {Problem(what, got=entry.layout, todo=f'write {layout}')}"
    for arch, sums in entry.sha512.items():
        if sorted(sums) != sorted(FILES[layout]):
            what = f"must name {' and '.join(FILES[layout])}"
            yield f"releases/{name}/sha512/{arch}: {Problem(what, got=', '.join(sums))}"


def _equal_sums(lock: Lock) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, entry in lock.releases.items():
        for arch, sums in entry.sha512.items():
            for file, value in sums.items():
                key = f"releases/{name}/sha512/{arch}/{file}"
                if value in seen:
                    yield f"{key}: the same checksum as {seen[value]}; one of them was copied"
                seen[value] = key
