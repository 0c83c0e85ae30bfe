"""Names that were probably meant by one that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> list[str]:
    """
    Return the ``known`` names that ``name`` is like, whatever its case, the likest first.

    + cutoff: how like, from 0 to 1: the ratio of ``difflib.SequenceMatcher``
    """
    folded = {other.casefold(): other for other in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), folded, cutoff=cutoff)
    return [folded[other] for other in found]


def did_you_mean(names: Iterable[str]) -> str:
    """Return the question; empty without names."""
    listed = " or ".join(names)
    return f"did you mean {listed}?" if listed else ""
