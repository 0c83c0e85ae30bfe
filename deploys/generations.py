"""
What each node can be rolled back to, and who changed it. Changes nothing.

.. code:: shell

    pyinfra inventories/run.py deploys/generations.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import known
from pyinfra_gvisor.facts.asking import get
from pyinfra_gvisor.facts.changes import Changes
from pyinfra_gvisor.facts.generations import Generations
from pyinfra_gvisor.report.results import KeptGeneration, KeptGenerations
from pyinfra_gvisor.run_support.results import tell_result


@deploy("Generations")
def list_generations() -> None:
    """Say the number, the time and the release of each generation, then who changed the node."""
    kept = known(host, get(host, Generations), "generations")
    if kept is None:
        return
    listed = tuple(
        KeptGeneration(
            number=item.number, story=item.story, releases=item.releases, unusable=item.unusable
        )
        for item in kept
    )
    changes = known(host, get(host, Changes), "changes") or ()
    found = KeptGenerations(host=host.name, generations=listed, changes=changes)
    tell_result(host, found)


if not __name__.startswith("pyinfra_gvisor."):
    list_generations()
