"""Who uses which runtime."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.facts.asking import asked
from pyinfra_gvisor.removal import RuntimeUser, parse_runtime_users
from pyinfra_gvisor.scripts import script


class RuntimeUsers(FactBase[tuple[RuntimeUser, ...] | None]):
    """
    Every container with the runtime that it asks for; ``None`` if Docker does not tell.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.users.RuntimeUsers
    """

    def command(self) -> StringCommand:
        """One shell, which asks Docker for each container."""
        return asked(script("runtime_users"))

    def process(self, output: list[str]) -> tuple[RuntimeUser, ...]:
        """The answer as ``RuntimeUser``\\ s."""
        try:
            return parse_runtime_users(output)
        except ValueError as error:
            raise FactProcessError(f"facts.users: {error}") from error
