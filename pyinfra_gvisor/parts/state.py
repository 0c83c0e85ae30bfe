"""What a node tells of its parts: one kind of answer for each, found by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pyinfra_gvisor.models import Reading

R = TypeVar("R", bound=Reading)


class PartState(Reading):
    """What is on a node of a part; without arguments that of a node that has nothing of it."""

    @property
    def there(self) -> bool:
        """Whether any of it is there."""
        raise NotImplementedError


def one(found: Mapping[str, Reading], kind: type[R]) -> R:
    """Return the answer of this kind; one without anything if the node was not asked."""
    return next((item for item in found.values() if isinstance(item, kind)), None) or kind()
