"""Read the state of Coolify's control host in one command."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.coolify.control_host import STATE_SCRIPTS, ControlHost, parse_control_host
from pyinfra_gvisor.coolify.files import COMPOSE, REDEPLOYS, TIMER, patcher_text, paths
from pyinfra_gvisor.facts.asking import asked


class CoolifyState(FactBase[ControlHost | None]):
    """
    Coolify's container, whether its function honours ``--runtime``, Horizon's workers, our files.

    ``container`` is None on a host without Coolify; the fact is None if nothing can be read.

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.coolify.CoolifyState
    """

    def command(self) -> StringCommand:
        """Return the whole script, as the argument of the one shell that pyinfra starts."""
        text = script(
            *STATE_SCRIPTS,
            patcher_b64=encoded(patcher_text()),
            files="\n".join(paths()),
            compose=COMPOSE,
            timer=TIMER,
            redeploys=REDEPLOYS,
        )
        return asked(text)

    def process(self, output: list[str]) -> ControlHost:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return parse_control_host(output)
        except ValueError as error:
            raise FactProcessError(f"facts.coolify: {error}") from error
