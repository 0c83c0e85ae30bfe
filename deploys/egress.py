"""
What the firewall of each node blocked, or would block, by container. Changes nothing.

.. code:: shell

    pyinfra inventories/run.py deploys/egress.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.deploys.checks import host_settings, known
from pyinfra_gvisor.facts.asking import get
from pyinfra_gvisor.facts.audit import AuditState
from pyinfra_gvisor.parts.egress.listing import APP_LABELS, listed_attempts


@deploy("Egress")
def list_attempts() -> None:
    """Say which containers tried what the firewall blocks, or would block."""
    settings = host_settings(host)
    if settings is None:
        return
    observed = known(host, get(host, AuditState, labels=APP_LABELS), "the firewall")
    if observed is not None:
        for line in listed_attempts(Audited(observed, settings)):
            host.log(line)


if not __name__.startswith("pyinfra_gvisor."):
    list_attempts()
