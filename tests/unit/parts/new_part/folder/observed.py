"""How often the sentence was read, which only an audit asks."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra_gvisor.base.models import Reading


class SampleObserved(Reading):
    """``readers`` of the sentence."""

    readers: int = 0


def read(lines: Sequence[str]) -> SampleObserved:
    """What ``observed.sh`` tells."""
    return SampleObserved(readers=sum(map(int, lines)))
