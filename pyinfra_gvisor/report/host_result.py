"""What a command that only looks found on a host, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

from pyinfra_gvisor.base.models import Strict


class HostResult(Strict):
    """What a command found on a host."""

    host: str

    @property
    def lines(self) -> Iterator[str]:
        """Yield the result for people."""
        raise NotImplementedError

    @classmethod
    def to_copy(cls, found: Sequence[Self]) -> str:  # noqa: ARG003 - for who has some
        """Return Python to copy into settings; empty if there is none."""
        return ""

    @classmethod
    def closing(cls, found: Sequence[Self]) -> Iterator[str]:  # noqa: ARG003 - as above
        """Yield the last lines about all hosts: a summary, and what to do next."""
        yield from ()
