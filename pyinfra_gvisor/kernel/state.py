"""What a node tells of its kernel's modules and settings, and of our files about them."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra_gvisor.reading import Reading


class KernelSurface(Reading):
    """Modules that are loaded, settings as they are, and our files."""

    @property
    def there(self) -> bool:
        """Whether any of it is there."""
        return False


def read_surface(lines: Sequence[str]) -> KernelSurface:
    """
    What ``scripts/kernel_state.sh`` tells.

    Raises ``ValueError`` if a line is malformed.
    """
    return KernelSurface()
