"""Read the node's list of changes: who changed the node, when and from where."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.facts.asking import asked
from pyinfra_gvisor.node import STATE_DIR
from pyinfra_gvisor.node.changes import Change, parse_changes

_END = "end of changes"


class Changes(FactBase[tuple[Change, ...] | None]):
    """
    The changes that the node remembers, oldest first; ``None`` if they cannot be read.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.changes.Changes
    """

    def command(self) -> StringCommand:
        """Return one shell command, which prints a line for each change."""
        return asked(script("node/changes", state_dir=STATE_DIR))

    def process(self, output: list[str]) -> tuple[Change, ...]:
        """Parse the output. Raises ``FactProcessError`` if it is incomplete."""
        if output[-1:] != [_END]:
            raise FactProcessError(f"facts.changes: incomplete after {len(output)} lines")
        return parse_changes(output[:-1])
