"""
Platforms whose apps run on nodes. Each is a module here that has only what it needs.

What a platform says is for people and for proposals. No decision is made by it: a container's
labels are a tenant's to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class App:
    """
    An app of a platform, by what its container's labels say.

    + tenants: whether people other than the operator deploy apps there
    """

    platform: str
    kind: str
    name: str
    tenants: bool = False

    def __str__(self) -> str:
        """Return what to call it in messages."""
        return f"{self.kind} {self.name} of {self.platform}"


class Platform(Protocol):
    """A platform of which it is known what it runs on nodes."""

    @property
    def name(self) -> str:
        """Return what people call it."""

    def identify(self, labels: Mapping[str, str]) -> App | None:
        """Return the app that a container says it belongs to; None if it says nothing."""
