"""What a script calls is in the parts that it is read with: sh says so only when it comes there."""

import re

from pyinfra_gvisor.audit.observed import audit_script
from pyinfra_gvisor.node import state_script
from tests.table import table


@table("text", state=state_script(), audit=audit_script())
def test_every_step_of_a_look_at_a_node_is_defined(text: str) -> None:
    steps = text.rstrip().rpartition("}\n")[2].split("\n")

    (parts,) = re.findall(r"^parts='(.+)'$", text, re.MULTILINE)
    named = {step for step in [*steps, *parts.split()] if re.fullmatch("[a-z_]+", step)}
    defined = set(re.findall(r"^([a-z_]+)\(\)", text, re.MULTILINE))

    assert {"machine", "resolver_state", "docker_state"} <= named
    assert named <= defined
