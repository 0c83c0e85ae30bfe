"""Read everything that an audit needs, in one command."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.audit.observed import Observed, audit_script, parse_observed
from pyinfra_gvisor.dispatch.preview import Preview
from pyinfra_gvisor.facts.asking import asked


class AuditState(FactBase[Observed | None]):
    """
    The node's state and what its running containers were given; ``None`` if it cannot be read.

    + labels: names of container labels that the policy uses; no other label leaves the node
    + textfile_dir: a directory to look for
    + preview: the policy and seals by which to say where each container would run
    + looks: whether to look at the processes of the running containers, as ``RunningApps`` does

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.audit.AuditState
    """

    def command(
        self,
        labels: Iterable[str] = (),
        textfile_dir: str | None = None,
        preview: Preview | None = None,
        looks: bool = False,
    ) -> StringCommand:
        """Return the whole script, as the argument of the one shell that pyinfra starts."""
        places = preview.variables if preview else None
        text = audit_script(labels, textfile_dir=textfile_dir, preview=places, looks=looks)
        return asked(text)

    def process(self, output: list[str]) -> Observed:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return parse_observed(output)
        except ValueError as error:
            raise FactProcessError(f"facts.audit: {error}") from error
