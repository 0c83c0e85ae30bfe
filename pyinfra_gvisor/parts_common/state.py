"""The state of a node's parts: one class for each, by which it is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pyinfra_gvisor.base.models import Reading

R = TypeVar("R", bound=Reading)


class PartState(Reading):
    """The state of a part on a node. Without arguments: a node that has nothing of the part."""

    @property
    def there(self) -> bool:
        """Return True if anything of the part is on the node."""
        raise NotImplementedError

    @property
    def takes_runc(self) -> bool:
        """Return True if whoever asks for runc gets what the policy of this node says."""
        return False

    @property
    def wrapper(self) -> str:
        """Return the path of the wrapper that the part's files name; empty if they name none."""
        return ""


def one(found: Mapping[str, Reading], kind: type[R]) -> R:
    """Return the state of this class; an empty one if it was not read."""
    return next((item for item in found.values() if isinstance(item, kind)), None) or kind()
