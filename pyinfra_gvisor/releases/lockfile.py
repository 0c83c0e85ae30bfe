"""The lock of releases as a file: its form, and how it is read, judged and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, field_validator

from pyinfra_gvisor.errors import Problem, cut
from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.releases import ARCHES, Release, parse_release
from pyinfra_gvisor.releases.known import escapes_in, floor
from pyinfra_gvisor.whole_file import write_whole

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
        raise Problem("not how this release is written", got=name, todo=f"write {plain}")
    return name


ReleaseName = Annotated[str, AfterValidator(_canonical)]


class BadLock(Problem):
    """A lock that cannot be trusted; one line for each thing that is wrong."""


class _Exact(Strict):
    model_config = ConfigDict(strict=True)


class Entry(_Exact):
    """What the files of one release must be, and where somebody else says the same."""

    layout: Layout
    sha512: dict[Arch, dict[str, Sha512]]
    corroborated: dict[Arch, Somewhere]

    @field_validator("sha512", "corroborated")
    @classmethod
    def _both(cls, value: dict[str, Any]) -> dict[str, Any]:
        if missing := [arch for arch in ARCHES if arch not in value]:
            raise Problem(f"{' and '.join(missing)} missing", got=sorted(value))
        return value


class Lock(_Exact):
    """Every release that is known, the newest first, and the one to take if nobody says which."""

    default: ReleaseName
    releases: dict[ReleaseName, Entry]


def layout_of(release: Release) -> Layout:
    """How ``release`` is published: as loose files, or as one archive."""
    return "archive" if release > LAST_LOOSE else "loose"


def read_lock(path: Path) -> Lock:
    """The lock in ``path``; raises ``BadLock`` naming file and key, ``Problem`` without a file."""
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
    """What is wrong in a well-formed lock, each as ``key: what is wrong, got what; what to do``."""
    names = list(lock.releases)
    if names != sorted(names, key=parse_release, reverse=True):
        yield "releases: not in order; put the newest first"
    if lock.default not in lock.releases:
        yield f"default: {Problem('not among the releases', got=lock.default, todo='add it')}"
    if escapes := escapes_in(parse_release(lock.default)):
        what = f"open to {', '.join(escape.id for escape in escapes)}"
        todo = f"choose {floor()} or later"
        yield f"default: {Problem(what, got=lock.default, todo=todo)}"
    for name, entry in lock.releases.items():
        yield from _misfits(name, entry)
    yield from _equal_sums(lock)


def lock_text(lock: Lock) -> str:
    """The lock as it stands in its file."""
    return json.dumps(lock.model_dump(), indent=2, ensure_ascii=False) + "\n"


def with_entry(lock: Lock, release: str, entry: Entry) -> Lock:
    """``lock`` with an entry more, the newest release first."""
    entries = {**lock.releases, release: entry}
    names = sorted(entries, key=parse_release, reverse=True)
    return Lock(default=lock.default, releases={name: entries[name] for name in names})


def write_lock(path: Path, lock: Lock) -> None:
    """
    Put ``lock`` in the place of the file ``path``, whole or not at all.

    Raises ``Problem`` if that cannot be; the old file is as it was then.
    """
    target = path.resolve()  # a symlink stays one
    try:
        write_whole(target, lock_text(lock), target.stat().st_mode & 0o777)
    except OSError as error:
        raise Problem(
            f"{path}: cannot be written: {error.strerror}; nothing was changed",
            todo="put the line for group data there, or run this where the file is yours",
        ) from None


_RESTORE = "restore it from the repository, or install this package again"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; json would let the last of two equal keys win, as after a bad merge."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Problem("a key twice", got=next(name for name in names if names.count(name) > 1))
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
        what = f"a release of that date is {layout}"
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
                    yield f"{key}: the same sum as {seen[value]}; one of them was copied"
                seen[value] = key
