"""Read the generations: daemon.json as it was before each change of ours."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.generations import Generation, parse_generations
from pyinfra_gvisor.facts.asking import asked


class Generations(FactBase[tuple[Generation, ...] | None]):
    """
    The generations that the node keeps, oldest first; ``None`` if they cannot be read.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.generations.Generations
    """

    def command(self) -> StringCommand:
        """Return one shell command, which prints a line for each file."""
        return asked(script("daemon_json/generations"))

    def process(self, output: list[str]) -> tuple[Generation, ...]:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return parse_generations(output)
        except ValueError as error:
            raise FactProcessError(f"facts.generations: {error}") from error
