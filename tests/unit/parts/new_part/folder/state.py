"""The sentence that is on a node."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra_gvisor.parts_common.state import PartState


class SampleState(PartState):
    """``text`` is None if there is none."""

    text: str | None = None

    @property
    def there(self) -> bool:
        """Whether it is there."""
        return self.text is not None


def read(lines: Sequence[str]) -> SampleState:
    """What ``state.sh`` tells."""
    return SampleState(text=next((line.removeprefix("text ") for line in lines), None))
