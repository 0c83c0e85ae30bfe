"""The ``gvisor_*`` keys about containers that ask for no runtime, and about what they may have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.dispatch.accepted import from_file
from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.seal import Seal

Accepted = Annotated[
    tuple[Infrastructure, ...],
    BeforeValidator(from_file, json_schema_input_type=tuple[Infrastructure, ...] | str),
]


class DispatchSettings(Strict):
    """Settings of the default runtime, of its policy, and of the seal."""

    default: Literal["off", "sandbox", "sandbox-all"] = Field(
        "off",
        description="Where a container runs that asks for no runtime. `off`: as Docker decides. "
        "`sandbox`: in gVisor, unless `gvisor_infrastructure` names it. `sandbox-all`: the same, "
        "also for containers that ask for runc or for one of its other names, and for builds.",
    )
    door: Literal["off", "report", "refuse"] = Field(
        "refuse",
        description="With `gvisor_default`: whether dockerd asks, before it does anything for a "
        "request, what a container may have. `off`: that is asked when the container starts, and "
        "dockerd may have copied files, made directories and connected by then. `report`: the "
        "journal of the node says what would be refused. `refuse`: Docker's error says why.",
    )
    default_runtime: str | None = Field(
        None,
        description="The runtime in `gvisor_runtimes` for such containers. `None`: `runsc`, or "
        "else the first one.",
    )
    infrastructure: Accepted = Field(
        (),
        description="With `gvisor_default`: the containers that run under runc, such as the "
        "platform's own. `infrastructure.json`, or another path from the directory in which "
        "pyinfra is started: the file that `pyinfra-gvisor accept ID` writes. Or a list of "
        "entries. `[]`: none.",
    )
    seal: Seal | None = Field(
        None,
        description="What containers in a sandbox may not have, by whatever runtime name they run. "
        'A runtime in `gvisor_runtimes` may have a `"seal"` of its own. `None`: with '
        "`gvisor_default` everything that a seal can refuse, otherwise nothing.",
    )
