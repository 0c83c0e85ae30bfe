"""What a script calls is in the parts that it is read with: sh says so only when it comes there."""

from __future__ import annotations

import re

import pytest

from pyinfra_gvisor.audit.observed import AUDIT_SCRIPTS
from pyinfra_gvisor.node import STATE_SCRIPTS
from pyinfra_gvisor.scripts import script


@pytest.mark.parametrize(
    "parts",
    [pytest.param(STATE_SCRIPTS, id="state"), pytest.param(AUDIT_SCRIPTS, id="audit")],
)
def test_every_step_of_a_look_at_a_node_is_defined(parts: tuple[str, ...]) -> None:
    text = script(*parts)
    steps = text.rstrip().rpartition("}\n")[2].split("\n")

    named = {step for step in steps if re.fullmatch("[a-z_]+", step)}
    defined = set(re.findall(r"^([a-z_]+)\(\)", text, re.MULTILINE))

    assert {"machine", "resolver_state", "docker_state"} <= named
    assert named <= defined
