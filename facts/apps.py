"""Read what running containers have and do, in one command."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.apps.seen import Apps, apps_script, parse_apps
from pyinfra_gvisor.facts.asking import asked


class RunningApps(FactBase[Apps | None]):
    """
    The running containers, with what ``/proc`` shows of their processes; ``None`` if Docker does
    not answer. No environment, no argument and no content of a file leaves the node.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.apps.RunningApps
    """

    def command(self) -> StringCommand:
        """Return one shell command, which asks Docker's API and reads ``/proc``."""
        return asked(apps_script())

    def process(self, output: list[str]) -> Apps:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return parse_apps(output)
        except ValueError as error:
            raise FactProcessError(f"facts.apps: {error}") from error
