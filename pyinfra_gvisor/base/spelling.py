"""Find the known names that a misspelt name probably means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> list[str]:
    """
    Return the ``known`` names that are similar to ``name``, the most similar first.

    + cutoff: the least similarity, from 0 to 1: the ratio of ``difflib.SequenceMatcher``

    Case does not matter.
    """
    folded = {other.casefold(): other for other in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), folded, cutoff=cutoff)
    return [folded[other] for other in found]


def did_you_mean(names: Iterable[str]) -> str:
    """Return the question ``did you mean …?``; empty without names."""
    listed = " or ".join(names)
    return f"did you mean {listed}?" if listed else ""
