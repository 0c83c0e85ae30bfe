"""Read which releases on a node are in use."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.facts.asking import asked
from pyinfra_gvisor.planning.collection import END, parse_release_users


class ReleaseUsers(FactBase[tuple[str, ...] | None]):
    """
    The releases that a process, container, runtime or generation uses; ``None`` if unknown.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.release_users.ReleaseUsers
    """

    def command(self) -> StringCommand:
        """Return one shell command."""
        text = script("releases/users") + f"release_users\necho '{END}'\n"
        return asked(text)

    def process(self, output: list[str]) -> tuple[str, ...]:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return tuple(sorted(parse_release_users(output)))
        except ValueError as error:
            raise FactProcessError(f"facts.release_users: {error}") from error
