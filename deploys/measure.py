"""
What gVisor costs on each node: the same work under runc and under each declared runtime.

.. code:: shell

    pyinfra inventories/run.py deploys/measure.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import host_settings
from pyinfra_gvisor.operations import measure
from pyinfra_gvisor.run_support.ending import close_with_summary


@deploy("Measure")
def measure_node() -> None:
    """Say what each kind of work takes in gVisor, as ratios to runc."""
    close_with_summary(host, "measure")
    settings = host_settings(host)
    if settings is not None:
        measure.costs(settings=settings, name="Measure")


if not __name__.startswith("pyinfra_gvisor."):
    measure_node()
