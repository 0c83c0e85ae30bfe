"""The commands of ``pyinfra-gvisor releases``: list, check and add."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases import ARCHES, Release, parse_release
from pyinfra_gvisor.releases.known import escapes_in, known, newer_than
from pyinfra_gvisor.releases.lockfile import (
    FILES,
    BadLock,
    Entry,
    Lock,
    faults,
    layout_of,
    read_lock,
    with_entry,
    write_lock,
)
from pyinfra_gvisor.releases.origins import NoAnswer, Origins, Published

HEAD = ("release", "default", "layout", "architectures", "known escapes", "corroborated")
MOST_NAMED = 5  # so many newer releases are named
WIDTHS = (12, 7, 7, 14, 14, 36)  # with two spaces between them: 100 columns


class Disagreement(Problem):
    """Two sources have different checksums for the same file; one line for each difference."""


def listed(lock: Lock, *, as_json: bool) -> str:
    """Return the releases of ``lock`` as a table of at most 100 columns, or as JSON."""
    rows = [_row(lock, name) for name in lock.releases]
    if as_json:
        return json.dumps(rows, indent=2, ensure_ascii=False)
    lines = [_line(HEAD)]
    for row in rows:
        lines += _cells(row)
    return "\n".join(lines)


def checked(path: Path, origins: Origins | None) -> tuple[str, bool]:
    """
    Check the lock; return the lines to print, and whether there are newer releases.

    Raises ``BadLock``, ``Disagreement`` or ``NoAnswer`` (the first of these that applies) with one
    line for each fault.
    """
    lock = read_lock(path)
    if wrong := [f"{path}: {fault}" for fault in faults(lock)]:
        raise BadLock("\n".join(wrong))
    newest = max(parse_release(name) for name in lock.releases)
    later = [item for item in map(parse_release, known().gvisor_releases) if item > newest]
    said = [f"{path}: {len(lock.releases)} releases, no faults"]
    said.append(_newer(later, f"known.json of {known().as_of}"))
    if origins is None:
        return "\n".join(said), bool(later)
    differing, silent = list[str](), list[str]()
    for name, entry in lock.releases.items():
        for origin, read in origins.readers.items():
            try:
                found = read(parse_release(name))
            except NoAnswer as error:
                silent.append(str(error))
                continue
            differences = list(_differences(name, path, _flat(entry), {origin: found}))
            differing += differences
            said += [] if differences else [f"{name}: {origin} has the same checksums"]
    if differing:
        raise Disagreement("\n".join(differing + silent))
    try:
        tagged = [item for item in origins.releases() if item > newest]
        said.append(_newer(tagged, "gVisor's tags"))
        later += tagged
    except NoAnswer as error:  # does not concern the lock
        said.append(f"newer releases in gVisor's tags: unknown; {error}")
    if silent:
        raise NoAnswer("\n".join(silent))
    return "\n".join(said), bool(later)


def _newer(later: Iterable[Release], whose: str) -> str:
    found = [*map(str, later)]
    more = f", and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    names = ", ".join(found[:MOST_NAMED]) + more or "none"
    return f"newer releases in {whose}: {names}"


def added(release: Release, path: Path, origins: Origins, *, dry_run: bool) -> Iterator[str]:
    """
    Write the checksums that both origins have for ``release`` to the lock ``path``.

    Yields the lines to print. Raises ``BadLock``, ``NoAnswer``, ``Disagreement`` or, if the lock
    cannot be written, ``Problem``; then the lock is unchanged.
    """
    lock, name = read_lock(path), str(release)
    answers = {origin: read(release) for origin, read in origins.readers.items()}
    (first, found), (second, other) = answers.items()
    if differing := list(_differences(name, first, found, {second: other})):
        raise Disagreement("\n".join(differing))
    if name in lock.releases:
        if differing := list(_differences(name, path, _flat(lock.releases[name]), answers)):
            raise Disagreement("\n".join(differing))
        yield f"{name} is already in {path}, with the checksums of both origins"
        return
    entry = _entry(release, found, f"{first} and {second}, {datetime.now(UTC).date()} (UTC)")
    yield f"{name}: {first} and {second} have the same checksums"
    yield from (f"  {arch:<7}  {file}  {sum_}" for (arch, file), sum_ in found.items())
    yield "for group data, if you cannot write the lock:"
    yield f"gvisor_sha512 = {_group_data(entry)}"
    if dry_run:
        yield f"dry run: {path} was not written"
        return
    write_lock(path, with_entry(lock, name, entry))
    yield f"written: {path}"


def watched(used: Mapping[str, Sequence[str]], lock: Lock) -> tuple[str, bool]:
    """
    Return what newer releases fix, as lines, and whether they fix anything.

    + used: hosts by their release
    """
    lines, fixes = list[str](), False
    locked = max(filter(_is_sound, map(parse_release, lock.releases)))
    newest = max(locked, *map(parse_release, known().gvisor_releases))
    for release in sorted(map(parse_release, used)):
        hosts, later = used[str(release)], newer_than(release)
        age = f"{later} newer known by {known().as_of}" if later else "none is newer"
        on = "1 host" if len(hosts) == 1 else f"{len(hosts)} hosts"
        lines.append(f"{release} on {on} ({some(hosts)}): {age}")
        for escape in escapes_in(release):
            fixes |= locked > release
            lines.append(f"  {escape.severity}: {escape.described}: {escape.what}")
    if fixes:
        lines.append(f"next: pyinfra-gvisor rollout --release {locked}")
    if newest > locked:
        lines.append(f"not locked yet: pyinfra-gvisor releases add {newest}")
    return "\n".join(lines), fixes


def _is_sound(release: Release) -> bool:
    return not escapes_in(release)


def warning(release: Release) -> str:
    """Return a warning about the known escapes of ``release``; empty if it has none."""
    ids = ", ".join(escape.id for escape in escapes_in(release))
    return ids and f"{release} is open to {ids}; nodes refuse it without gvisor_accept_risk"


def _row(lock: Lock, name: str) -> dict[str, Any]:
    entry = lock.releases[name]
    return {
        "release": name,
        "default": name == lock.default,
        "layout": entry.layout,
        "architectures": list(entry.sha512),
        "escapes": [escape.id for escape in escapes_in(parse_release(name))],
        "corroborated": dict(entry.corroborated),
    }


def _cells(row: dict[str, Any]) -> Iterator[str]:
    places: dict[str, str] = row["corroborated"]
    same = len(set(places.values())) == 1
    where = [next(iter(places.values()))] if same else [f"{a}: {p}" for a, p in places.items()]
    columns = [
        [row["release"]],
        ["default"] if row["default"] else [],
        [row["layout"]],
        [" ".join(row["architectures"])],
        row["escapes"] or ["none known"],
        [line for text in where for line in textwrap.wrap(text, WIDTHS[-1])],
    ]
    for at in range(max(map(len, columns))):
        yield _line(tuple(column[at] if at < len(column) else "" for column in columns))


def _line(cells: tuple[str, ...]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    return "  ".join(padded).rstrip()


def _flat(entry: Entry) -> Published:
    return {(arch, file): sums[file] for arch, sums in entry.sha512.items() for file in sums}


def _differences(
    name: str, whose: object, sums: Published, others: dict[str, Published]
) -> Iterator[str]:
    for other, found in others.items():
        for (arch, file), value in found.items():
            if (mine := sums.get((arch, file))) != value:
                yield (
                    f"{name} {arch} {file}: {whose} and {other} have different checksums; nothing "
                    f"was changed. Do not use this file until the reason is known\n"
                    f"  {mine}  {whose}\n  {value}  {other}"
                )


def _entry(release: Release, found: Published, corroborated: str) -> Entry:
    layout = layout_of(release)
    sums = {arch: {file: found[arch, file] for file in FILES[layout]} for arch in ARCHES}
    return Entry.model_validate(
        {"layout": layout, "sha512": sums, "corroborated": dict.fromkeys(ARCHES, corroborated)}
    )


def _group_data(entry: Entry) -> str:
    """Return the checksums for group data: of the archive, or of files by name."""
    single = entry.layout == "archive"
    return json.dumps(
        {arch: next(iter(sums.values())) if single else sums for arch, sums in entry.sha512.items()}
    )
