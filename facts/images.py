"""Read the images and containers of a node that are infrastructure, or may be."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from pyinfra_gvisor.base.scripts import SOCKET
from pyinfra_gvisor.dispatch.pulled import Pulled, parse_pulled, pulled_script
from pyinfra_gvisor.facts.asking import asked


class Images(FactBase[Pulled | None]):
    """
    Images of known shapes, and containers that a sandbox would refuse; ``None`` if Docker does not
    answer. No value of a variable that looks like a secret leaves the node.

    + wanted: ids of images or containers, and names of containers, to read in any case

    .. code:: shell

        pyinfra inventories/run.py fact pyinfra_gvisor.facts.images.Images
    """

    def command(self, wanted: Sequence[str] = ()) -> StringCommand:
        """Return one shell command, which asks Docker's API."""
        return asked(pulled_script(SOCKET, wanted))

    def process(self, output: list[str]) -> Pulled:
        """Parse the output. Raises ``FactProcessError`` if it is malformed."""
        try:
            return parse_pulled(output)
        except ValueError as error:
            raise FactProcessError(f"facts.images: {error}") from error
