"""Read which container asks for which runtime."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.host import Host

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.runtime_users import END, Ask, RuntimeUser, parse_runtime_users
from pyinfra_gvisor.facts.asking import asked
from pyinfra_gvisor.facts.node import read_once


class RuntimeUsers(FactBase[tuple[RuntimeUser, ...] | None]):
    """
    Every container with the runtime that it asks for; ``None`` if Docker does not list them.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.users.RuntimeUsers
    """

    def command(self) -> StringCommand:
        """Return one shell command, which asks Docker about each container."""
        return asked(script("daemon_json/runtime_users") + f"runtime_users && echo '{END}'\n")

    def process(self, output: list[str]) -> tuple[RuntimeUser, ...]:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return parse_runtime_users(output)
        except ValueError as error:
            raise FactProcessError(f"facts.users: {error}") from error


def asking(host: Host) -> Ask:
    """Return a function that lists the host's containers; a call costs one command."""

    def ask() -> tuple[RuntimeUser, ...]:
        found = read_once(host, RuntimeUsers)
        if found is None:
            todo = "run again with -vvv to see the node's answer"
            raise Problem("cannot read which containers use a runtime", todo=todo)
        return found

    return ask
