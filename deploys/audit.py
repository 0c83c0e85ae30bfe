"""
Whether every container that must be in a sandbox is, and every node as declared; exit 1 if not.

.. code:: shell

    pyinfra inventories/run.py deploys/audit.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import audited_settings
from pyinfra_gvisor.operations import audit


@deploy("Audit")
def audit_node() -> None:
    """Look, say what is found, write the reports."""
    settings = audited_settings(host)
    if settings is not None:
        audit.findings(settings=settings, by="audit", name="Hold the node against what is declared")


if not __name__.startswith("pyinfra_gvisor."):
    audit_node()
