"""
What each node is, and what a deploy would refuse. Changes nothing.

.. code:: shell

    pyinfra inventories/run.py deploys/doctor.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import fail, host_settings, known_node, waiver_refusals
from pyinfra_gvisor.facts.source import source_problem
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.planning.examined import node_lines, settings_line
from pyinfra_gvisor.planning.preflight import notes, refusals
from pyinfra_gvisor.report.results import Examined
from pyinfra_gvisor.run_support.ending import close_with_summary
from pyinfra_gvisor.run_support.results import tell_result


@deploy("Doctor")
def examine_node() -> None:
    """Say what the node is. Fail a host that a deploy would refuse, with every reason."""
    close_with_summary(host, "doctor")
    settings = host_settings(host)
    node = known_node(host)
    if node is None:
        return
    if settings is None:
        for subject, text in node_lines(node).items():
            host.log(f"{subject:<11} {text}")
        return
    problems = [*waiver_refusals(settings), *refusals(node, settings, asking(host))]
    if unreachable := source_problem(host, node, settings):
        problems.append((settings.release, unreachable))
    refused = tuple(problem.at("preflight", what, host.name) for what, problem in problems)
    about = {**node_lines(node), "declared": settings_line(settings)}
    found = Examined(host=host.name, about=about, notes=notes(node), refused=refused)
    tell_result(host, found)
    if refused:
        fail(host, *refused)


if not __name__.startswith("pyinfra_gvisor."):
    examine_node()
