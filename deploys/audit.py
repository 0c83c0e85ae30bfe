"""
Check that each container that must run in gVisor does, and each node is as declared. Exit 1 if not.

.. code:: shell

    pyinfra inventories/run.py deploys/audit.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import audited_settings
from pyinfra_gvisor.operations import audit


@deploy("Audit")
def audit_node() -> None:
    """Say what is found on a host, write the reports, and fail the host on findings."""
    settings = audited_settings(host)
    if settings is not None:
        audit.findings(settings=settings, by="audit", name="Check the node")


if not __name__.startswith("pyinfra_gvisor."):
    audit_node()
