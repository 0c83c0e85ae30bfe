"""A proof as lines for people: the counts, and a row for each check that they want to see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from pyinfra_gvisor.base.columns import continued, shortened
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.proof.check import CONTROL, Check
from pyinfra_gvisor.proof.verdict import NOT_STARTED, Verdict

HEAD = ("check", "runtime", "seen there", f"under {CONTROL} (control)", "")
WORDS = {"ok": "ok", "accepted": "accepted", "n/a": "not applicable", "NOT PROVEN": "NOT PROVEN"}
"""What the counts call each outcome, in their order."""

_GAP = 2  # columns between two cells
_PATH = 12  # columns that tell paths apart
_ROOM = 50  # columns for what was seen that are more important than the runtime's name


def counts(verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """Return ``("23 ok", "ok")`` and so on: the text and the outcome, without those of 0."""
    found = Counter(verdict.word for verdict in verdicts)
    return [(f"{found[word]} {text}", word) for word, text in WORDS.items() if found[word]]


def failed_rows(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts that stand in a table beside a proof that failed."""
    return [item for item in verdicts if item.word in ("NOT PROVEN", "accepted")]


def table(verdicts: Iterable[Verdict], columns: int) -> list[str]:
    """
    Return the verdicts on one runtime as rows, with a head.

    A text that does not fit into its cell continues below it. A narrow terminal has no room for
    the cell of the runtime.

    + columns: how wide a line may be
    """
    items = list(verdicts)
    rows = [HEAD, *(_row(item) for item in items)]
    cells = [[row[column] for row in rows] for column in range(len(HEAD))]
    taken = [max(map(len, texts)) + _GAP for texts in cells]
    if sum(taken) - _GAP > columns and columns - taken[0] - taken[1] - taken[4] < _ROOM:
        rows = [(row[0], "", *row[2:]) for row in rows]
        cells[1] = []
    reason = max((len(item.not_applicable) for item in items), default=0)
    sizes = _sizes(cells, reason, columns)
    lines = []
    for item, row in zip((None, *items), rows, strict=True):
        if item and item.not_applicable:  # the reason stands in both cells of what would be seen
            both = [*sizes[:2], sizes[2] + _GAP + sizes[3], sizes[4]]
            lines += _lines((row[0], row[1], item.not_applicable, row[4]), both)
        else:
            lines += _lines(row, sizes)
    return lines


def _sizes(cells: Sequence[Sequence[str]], reason: int, columns: int) -> list[int]:
    """
    Return the columns of each cell: as many as its texts take, if the line has room for them.

    + cells: the texts of each column of the table
    + reason: the length of the longest reason, which stands in both cells of what was seen
    """
    check, runtime, there, control, word = (max(map(len, texts), default=0) for texts in cells)
    gaps = (sum(map(bool, cells)) - 1) * _GAP
    left = columns - check - runtime - word - gaps
    if there + control > left:
        words = [max(map(_longest_word, texts)) for texts in cells[2:4]]
        least = min(words[0], left // 2)
        there = max(least, min(there, max(left // 2, left - control), left - words[1]))
        control = left - there
    there = max(there, min(reason - _GAP, left) - control)
    return [check, runtime, there, control, word]


def _longest_word(text: str) -> int:
    """Return the columns that a cell should have: paths are shortened, words only if they must."""
    words = text.split()
    return max((min(len(word), _PATH) if "/" in word else len(word) for word in words), default=0)


def _row(item: Verdict) -> tuple[str, str, str, str, str]:
    seen = ("", "") if item.not_applicable else (_safe(item.seen), _safe(item.control))
    return (item.check.id, item.runtime, *seen, item.word)


def _safe(text: str) -> str:
    """Return what came from a node without what a terminal would obey."""
    return cut(text, len(text) + 1)


def _lines(cells: Sequence[str], sizes: Sequence[int]) -> list[str]:
    """Return the lines of one row: the last cell stands on the first of them."""
    broken = [_broken(cell, size) for cell, size in zip(cells, sizes, strict=True)]
    return [
        (" " * _GAP)
        .join(part.ljust(size) for part, size in zip(line, sizes, strict=True) if size)
        .rstrip()
        for line in zip_longest(*broken, fillvalue="")
    ]


def _broken(text: str, columns: int) -> list[str]:
    words = " ".join(shortened(word, columns, any_word=True) for word in text.split(" "))
    return continued(words, columns)


def remedies(verdicts: Iterable[Verdict]) -> list[str]:
    """Return what to do about checks that failed, a line each, with the worst severity."""
    by_remedy: dict[str, list[Check]] = {}
    for verdict in verdicts:
        known = by_remedy.setdefault(verdict.check.remedy, [])
        if verdict.word == "NOT PROVEN" and verdict.seen != NOT_STARTED:
            known.append(verdict.check)
    lines = []
    for remedy, checks in by_remedy.items():
        names = ", ".join(dict.fromkeys(check.id for check in checks))
        worst = max((check.severity for check in checks), key=lambda item: item.rank, default=None)
        lines += [f"{names} ({worst}): {remedy}"] if worst else []
    return lines
