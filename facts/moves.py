"""Read what is to be known of running containers before they are moved, in one command."""

from __future__ import annotations

from typing import Any

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.facts.asking import asked
from pyinfra_gvisor.moves.script import mover_script, told


class MovableContainers(FactBase[list[dict[str, Any]] | None]):
    """
    For each running container: whether it can be recreated with a way back, and for how long it is
    away; ``None`` if that cannot be read. Changes nothing.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.moves.MovableContainers
    """

    def command(self) -> StringCommand:
        """Return one shell command, which asks Docker's API and reads compose files."""
        return asked(mover_script("looks"))

    def process(self, output: list[str]) -> list[dict[str, Any]]:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return told(output)
        except ValueError as error:
            raise FactProcessError(f"facts.moves: {error}") from error
