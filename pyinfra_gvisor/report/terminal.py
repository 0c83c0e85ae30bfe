"""A report as lines for a terminal, broken between words: by rule, or each finding by itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pyinfra_gvisor.base.columns import WITHOUT_TERMINAL, printable, shortened, some
from pyinfra_gvisor.policy.findings import Finding, Severity, rank
from pyinfra_gvisor.report.document import FleetReport, HostReport
from pyinfra_gvisor.report.grouped import (
    MOST_REMEDIES,
    Found,
    by_rule,
    by_text,
    containers_in,
    counts,
    found_in,
    place,
    places,
    waived_in,
)
from pyinfra_gvisor.report.outlooks import differing_line

MOST_EXPLAINED: Final = 3
"""Rules that are shown with what to do; the worst ones."""
MOST_NAMED: Final = 8
"""Further rules, and hosts, that have a line of their own."""
ALL_FINDINGS: Final = "pyinfra-gvisor audit -v shows each finding"

_STATES = {
    "unknown": "UNKNOWN, not compliant",
    "failed": "FAILED, not compliant",
    "findings": "compliant, with findings",
    "clean": "compliant",
}
_APPS = "apps in gVisor"
_ROWS = 2  # lines of one text of a rule
_ROWS_TO_DO = 4  # of what to do: a remedy without its end may not work


def host_lines(
    report: HostReport, columns: int = WITHOUT_TERMINAL, *, each: bool = False
) -> list[str]:
    """
    Return the findings on a host, the worst first, its last change, and a line with the counts.

    + columns: how wide a line may be
    + each: every finding with what was seen, instead of a few lines a rule
    """
    found = [("", item) for item in report.findings]
    lines = _findings(found, report.fail_on, columns, each=each)
    lines += _apps([report], columns)
    return lines + _about(report, columns) + verdict_lines(report, columns)


def fleet_lines(
    report: FleetReport, columns: int = WITHOUT_TERMINAL, *, each: bool = False
) -> list[str]:
    """
    Return the findings on all hosts, a line a host, failed hosts first, and the verdict.

    + columns: how wide a line may be
    + each: every finding with what was seen, instead of a few lines a rule
    """
    about = finding_lines(report.findings, columns)
    if not report.hosts:
        return [*about, "NOT COMPLIANT: no host was checked"]
    hosts = sorted(report.hosts, key=lambda host: (list(_STATES).index(host.state), host.host))
    shown = hosts if each else hosts[:MOST_NAMED]
    fail_on = min((host.fail_on for host in hosts), key=lambda item: item.rank)
    lines = _findings(found_in(report), fail_on, columns, each=each)
    lines += _apps(report.hosts, columns)
    for host in shown:
        lines += _about(host, columns) + verdict_lines(host, columns)
    if rest := hosts[len(shown) :]:
        states = (f"{sum(host.state == key for host in rest)} {_STATES[key]}" for key in _STATES)
        counted = ", ".join(state for state in states if not state.startswith("0 "))
        lines += _wrapped(f"{len(rest)} more hosts: {counted}", columns)
    return [*about, *lines, *_wrapped(fleet_verdict(report), columns)]


def fleet_verdict(report: FleetReport) -> str:
    """Return whether the fleet is compliant, and how many containers were seen in gVisor."""
    word = "compliant" if report.compliant else "NOT COMPLIANT"
    compliant = sum(host.compliant for host in report.hosts)
    total = len(report.hosts)
    told = f"{word}: {compliant} of {total} hosts are compliant. {containers_in(report)}"
    todo = "do what the lines above say, then run pyinfra-gvisor audit again"
    return told if report.compliant else f"{told} Next: {todo}"


def verdict_lines(report: HostReport, columns: int = WITHOUT_TERMINAL) -> list[str]:
    """Return whether a host is compliant, with the number of findings and containers."""
    said = "; ".join([_STATES[report.state], *counts(report)])
    return _wrapped(f"{report.host}: {said}", columns)


def finding_lines(findings: Iterable[Finding], columns: int = WITHOUT_TERMINAL) -> list[str]:
    """
    Return the lines of each finding: what is wrong, what was seen, what to do.

    + columns: how wide a line may be
    """
    return [line for item in findings for line in _finding("", item, columns)]


def _findings(found: Sequence[Found], fail_on: Severity, columns: int, *, each: bool) -> list[str]:
    if each:
        ordered = sorted(found, key=lambda pair: rank(pair[1]))
        return [line for host, item in ordered for line in _finding(host, item, columns)]
    least = min(fail_on.rank, Severity.LOW.rank)
    rules = by_rule(pair for pair in found if pair[1].waived is None)
    told = [rule for rule in rules if rule[0][1].severity.rank >= least]
    lines = [line for rule in told[:MOST_EXPLAINED] for line in _explained(rule, columns)]
    failing = sum(rule[0][1].severity.rank >= fail_on.rank for rule in told)
    named = max(failing, MOST_EXPLAINED + MOST_NAMED)  # what fails a host is never left out
    for rule in told[MOST_EXPLAINED:named]:
        lines += _named(rule, columns)
    counted = [rule for rule in rules if rule not in told]
    return lines + _left_out(found, counted, told[named:], columns)


def _explained(rule: Sequence[Found], columns: int) -> Iterator[str]:
    """Yield what is wrong, and for the two most frequent remedies whom they are for."""
    item = rule[0][1]
    title = f"{item.severity.upper()} {item.id}: {item.what}"
    yield from _wrapped(title, columns, rows=_ROWS)
    ordered = by_text(rule)
    for remedy, those in ordered[:MOST_REMEDIES]:
        yield from _wrapped(f"on: {places(those, columns - 10)}", columns, indent="    ", rows=1)
        if seen := _seen(those):
            yield from _wrapped(f"seen: {seen}", columns, indent="    ", rows=_ROWS)
        if remedy:
            yield from _wrapped(f"do: {remedy}", columns, indent="    ", rows=_ROWS_TO_DO)
    if rest := [pair for _, those in ordered[MOST_REMEDIES:] for pair in those]:
        yield from _wrapped(f"also: {places(rest, columns - 10)}", columns, indent="    ")


def _seen(those: Sequence[Found]) -> str:
    """Return what was seen of findings with one remedy: of the first, if it differs."""
    host, first = those[0]
    if len({item.evidence for _, item in those}) == 1 or not first.evidence:
        return first.evidence
    return f"{place(host, first)}: {first.evidence}"


def _named(rule: Sequence[Found], columns: int) -> list[str]:
    item = rule[0][1]
    named = f"{item.severity.upper()} {item.id}: {places(rule, columns // 3)}"
    seen = f" ({_seen(rule)})" if item.evidence else ""
    return _wrapped(f"{named}: {item.what}{seen}", columns, rows=_ROWS)


def _left_out(
    found: Sequence[Found],
    counted: Sequence[Sequence[Found]],
    more: Sequence[Sequence[Found]],
    columns: int,
) -> list[str]:
    """Return a line about what is only counted; none if nothing is."""
    info, waived = sum(map(len, counted)), waived_in(item for _, item in found)
    worst = f", the worst of severity {more[0][0][1].severity}" if more else ""
    counts = {f"{len(more)} more rules{worst}": len(more), f"{info} info": info}
    counts[f"{waived} waived"] = waived
    told = ", ".join(text for text, count in counts.items() if count)
    return _wrapped(f"not shown: {told}. {ALL_FINDINGS}", columns) if told else []


def _finding(host: str, item: Finding, columns: int) -> Iterator[str]:
    if item.waived is not None:
        waived = printable(f"waived {item.id} {place(host, item)}: {item.waived}")
        yield textwrap.shorten(waived, columns, placeholder=" …", break_on_hyphens=False)
        return
    yield from _wrapped(
        f"{item.severity.upper()} {item.id} {place(host, item)}: {item.what}", columns
    )
    for label, text in (("seen", item.evidence), ("do", item.remedy)):
        if text:
            yield from _wrapped(f"{label}: {text}", columns, indent="    ")


def _about(report: HostReport, columns: int) -> list[str]:
    if report.error is not None:
        return _wrapped(f"UNKNOWN {report.host}: {report.error}", columns)
    changed = report.node.changed if report.node else None
    return _wrapped(f"{report.host}: last change {changed}", columns, rows=1) if changed else []


def _apps(hosts: Sequence[HostReport], columns: int) -> list[str]:
    """Return what apps do otherwise in gVisor, which is no finding, and the command for more."""
    of_one = len(hosts) == 1
    named = [
        name if of_one else f"{host.host}/{name}"
        for host in hosts
        if host.apps
        for name in host.apps.differing
    ]
    lines = []
    if named:
        lines = _wrapped(f"{_APPS}: {differing_line(named)}", columns, rows=1)
        command = "pyinfra-gvisor apps" + (f" --limit {hosts[0].host}" if of_one else "")
        lines += _wrapped(f"do: {command}", columns, indent="    ")
    if unseen := [host for host in hosts if host.apps_error]:
        names = some([host.host for host in unseen], MOST_NAMED)
        text = f"{_APPS}: not looked at on {names}: {unseen[0].apps_error}"
        lines += _wrapped(text, columns, rows=_ROWS)
    return lines


def _wrapped(text: str, columns: int, *, indent: str = "", rows: int | None = None) -> list[str]:
    """Return ``text`` as lines; ``…`` stands for what is more than ``rows`` lines."""
    room = columns - len(indent) - 2
    return textwrap.wrap(
        " ".join(shortened(word, room) for word in printable(text).split()),
        columns,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
        max_lines=rows,
        placeholder=" …",
    )
