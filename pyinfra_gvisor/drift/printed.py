"""Print the verdict of a drift check for people (table) and for programs (JSON)."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from pyinfra_gvisor.base.columns import as_laid_out
from pyinfra_gvisor.drift.verdict import IN_SYNC, WORDS, Drift, HostDrift
from pyinfra_gvisor.report.summary import containers_line

VERSION = 1  # of the JSON's form; raised when a reader of the old form would fail
COLUMNS = 100
MAX_NAME = 36  # columns for a host's name in the table; a longer name has its own line
HEADERS = ("HOST", "STATE", "PENDING, OR WHAT IS WRONG")


def as_json(drift: Drift, *, code: int | None = None) -> str:
    """
    Return one JSON document as one line of ASCII.

    + code: the exit code of a command for which pending changes are no failure
    """
    return json.dumps(
        {
            "version": VERSION,
            "verdict": WORDS[drift.code],
            "exit_code": drift.code if code is None else code,
            "errors": drift.errors,
            "hosts": [
                {
                    "name": host.name,
                    "state": host.state,
                    "pending": [{"name": name} for name in host.pending],
                    "conditional": [{"name": name} for name in host.conditional],
                    "errors": host.errors,
                    "details": host.details,
                    "containers": host.containers
                    and dict(zip(("in_gvisor", "running"), host.containers, strict=False)),
                }
                for host in drift.hosts
            ],
        }
    )


def as_table(drift: Drift) -> list[str]:
    """Return lines of at most 100 columns if no word is longer: hosts, errors, then the verdict."""
    rows = [row for host in drift.hosts for row in _rows(host)]
    lines = _aligned([HEADERS, *rows]) if rows else []
    for error in drift.errors:
        indent = "  " if error.startswith("  ") else ""
        lines += _wrapped(error.strip(), COLUMNS, first=indent, rest=f"{indent}  ")
    counts = containers_line([host.containers for host in drift.hosts])
    return [*lines, *([f"{counts}."] if counts else []), _verdict(drift)]


def as_details(drift: Drift) -> list[str]:
    """Return every line that the run printed about each host, diffs included."""
    return [
        as_laid_out(f"[{host.name}] {line}")
        for host in drift.hosts
        for text in host.details
        for line in text.splitlines()
    ]


def _rows(host: HostDrift) -> Iterator[tuple[str, str, str]]:
    texts = host.errors + host.pending
    yield host.name, host.state, texts[0] if texts else "-"
    for text in texts[1:]:
        yield "", "", text


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    name = min(MAX_NAME, max(len(row[0]) for row in rows))
    state = max(len(row[1]) for row in rows)
    indent = " " * (name + state + 4)
    lines = []
    for row in rows:
        first = f"{as_laid_out(row[0]):{name}}  {row[1]:{state}}  "
        if len(first) > len(indent):
            lines.append(as_laid_out(row[0]))
            first = f"{'':{name}}  {row[1]:{state}}  "
        lines += _wrapped(row[2], COLUMNS, first=first, rest=indent)
    return lines


def _wrapped(text: str, columns: int, *, first: str, rest: str) -> list[str]:
    lines = [
        line
        for number, part in enumerate(text.splitlines())
        for line in textwrap.wrap(
            as_laid_out(part),
            columns,
            initial_indent=rest if number else first,
            subsequent_indent=rest,
            break_on_hyphens=False,
        )
    ]
    return lines or [first.rstrip()]


def _verdict(drift: Drift) -> str:
    word, total = WORDS[drift.code], len(drift.hosts)
    hosts = f"{total} {'host' if total == 1 else 'hosts'}"
    if drift.code == IN_SYNC:
        return f"{word}: {hosts} as declared"
    if not total:
        return f"{word}: no host was checked"
    counts = Counter(host.state for host in drift.hosts)
    return (
        f"{word}: {', '.join(f'{counts[state]} {state}' for state in sorted(counts))}, of {hosts}"
    )
