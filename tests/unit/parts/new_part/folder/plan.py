"""What has to be done so that the sentence is on a node, or gone."""

from __future__ import annotations

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.parts.sample.state import SampleState
from pyinfra_gvisor.parts_common.plan import PartPlan

FILE = "/opt/gvisor/sample/text"


def plan_sample(found: SampleState, wanted: str | None, *, init: str) -> PartPlan:
    """What to do; raises ``Problem`` where there is no systemd."""
    if found.text == wanted:
        return PartPlan()
    if wanted is None:
        return PartPlan("remove", (f"remove {FILE}",))
    if init != "systemd":
        raise Problem("the sample needs systemd", got=init, todo="leave gvisor_sample out")
    return PartPlan("apply", (f"write {FILE}",), files=(NodeFile(FILE, "644", f"{wanted}\n"),))
