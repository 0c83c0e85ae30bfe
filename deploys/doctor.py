"""
What each node is, and what a deploy would refuse. Changes nothing.

.. code:: shell

    pyinfra inventories/run.py deploys/doctor.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import fail, host_settings, known_node
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.planning.examined import node_lines, settings_line
from pyinfra_gvisor.planning.preflight import notes, refusals
from pyinfra_gvisor.run_support.ending import close_with_summary


@deploy("Doctor")
def examine_node() -> None:
    """Say what the node is. Fail a host that a deploy would refuse, with every reason."""
    close_with_summary(host, "doctor")
    settings = host_settings(host)
    node = known_node(host)
    if node is None:
        return
    for line in node_lines(node):
        host.log(line)
    if settings is None:
        return
    host.log(settings_line(settings))
    for line in notes(node):
        host.log(f"note        {line}")
    refused = refusals(node, settings, asking(host))
    if refused:
        fail(host, *(problem.at("preflight", what, host.name) for what, problem in refused))
    else:
        host.log("ready       a deploy would not refuse this node")


if not __name__.startswith("pyinfra_gvisor."):
    examine_node()
