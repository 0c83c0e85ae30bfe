"""
Platforms whose apps run on nodes. Each is a module here that has only what it needs.

What a platform says is for people and for proposals. No decision is made by it: a container's
labels are a tenant's to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Own:
    """
    What a platform itself needs on a node.

    + shapes: names of the shapes of its own containers
    + binds: directories and files of the node that its apps mount, for ``gvisor_seal``
    """

    shapes: tuple[str, ...]
    binds: tuple[str, ...] = ()


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

    def infrastructure(self) -> Own:
        """Return what the platform itself needs on a node."""

    def identify(self, labels: Mapping[str, str]) -> App | None:
        """Return the app that a container says it belongs to; None if it says nothing."""


class Asked(Protocol):
    """Apps of a platform that has an API, as they were read from it."""

    @property
    def declared(self) -> tuple[Any, ...]:
        """Return what is declared for each app, and whether the app asks for it."""

    def ask(
        self,
        redeploys: frozenset[str],
        keep_redeploys: Callable[[frozenset[str]], None],
        tell: Callable[[str], None],
    ) -> Any:
        """Have the apps ask for what is declared."""

    def recreate(self, app: str) -> str | None:
        """Recreate an app's containers. Return why that failed; None if it did not."""
