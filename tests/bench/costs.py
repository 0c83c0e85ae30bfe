"""Measure what single operations cost under runtimes of each kind, with what ``measure`` does."""

from pyinfra_gvisor.costs.measured import costs
from pyinfra_gvisor.costs.script import measure_script
from pyinfra_gvisor.report.costs import Costs, number
from pyinfra_gvisor.settings import load_settings
from tests.bench.measure import BenchError
from tests.bench.node import converge, new_nodes
from tests.bench.report import markdown
from tests.bench.results import measured_on
from tests.node.running import CURRENT, RELEASE
from tools.lab import FLAVOURS, NodeSpec

ROUNDS = 9  # of the command itself
RUNTIMES = {
    "runsc": {"network": "host"},
    "sandbox": {"network": "sandbox"},
    "strict": {"network": "host", "hardening": "strict"},
    "overlay": {"network": "host", "overlay": "self"},
}


def measured(_rounds: int) -> str:
    """Measure; return a description and a table."""
    about = measured_on(ROUNDS)
    settings, problems = load_settings({**CURRENT, "gvisor_runtimes": RUNTIMES})
    if settings is None:
        raise BenchError(f"settings: {problems}")
    with new_nodes("costs", NodeSpec(FLAVOURS["debian-13"])) as (node,):
        converge({"costs": node.lab_node}, gvisor_runtimes=RUNTIMES)
        script = f"probe_timeout_s=900\n{measure_script(settings)}"
        found = costs("costs", node.shell(script).splitlines(), RUNTIMES)
        about += f"; in the node {node.versions()}, runsc {RELEASE}."
    return f"{about}\n\n{costs_table(found)}"


def costs_table(found: Costs) -> str:
    """Return a table: runc's value, and the ratio under each runtime with its quartiles."""
    rows = [("what", "runc", *(f"`{name}`" for name in found.runtimes))]
    for row in found.rows:
        told = {cost.runtime: cost.told for cost in row.costs}
        cells = (told.get(name, "") for name in found.runtimes)
        rows.append((row.title, f"{number(row.runc)} {row.unit}", *cells))
    return markdown(rows)
