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


@deploy("Generations")
def list_generations() -> None:
    """Say the number, the time and the release of each generation, then who changed the node."""
    kept = known(host, get(host, Generations), "generations")
    if kept is None:
        return
    for generation in kept:
        damaged = f"; cannot be used: {generation.unusable}" if generation.unusable else ""
        host.log(f"generation {generation.number}: {generation.story}{damaged}")
    if not kept:
        host.log("no generation: daemon.json was not changed on this node")
    for change in known(host, get(host, Changes), "changes") or ():
        host.log(f"change {change.line}")


if not __name__.startswith("pyinfra_gvisor."):
    list_generations()
