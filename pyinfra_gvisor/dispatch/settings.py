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
        "`sandbox`: in gVisor, unless `gvisor_infrastructure` names it. `sandbox-all`: builds too, "
        "and containers that ask for runc.",
    )
    door: Literal["off", "report", "refuse"] = Field(
        "refuse",
        description="With `gvisor_default`: whether dockerd asks before it acts on a request. "
        "`refuse`: Docker's error says why. `report`: only the journal does. `off`: a container is "
        "checked at its start, when dockerd may already have copied files or connected.",
    )
    default_runtime: str | None = Field(
        None,
        description="The runtime in `gvisor_runtimes` for such containers. `None`: `runsc`, or "
        "else the first one.",
    )
    infrastructure: Accepted = Field(
        (),
        description="With `gvisor_default`: containers that run under runc, such as the platform's "
        "own. A list of entries, or a path from where pyinfra starts, such as "
        "`infrastructure.json`: `pyinfra-gvisor accept ID` writes that file.",
    )
    seal: Seal | None = Field(
        None,
        description="What containers in gVisor may not have, whatever runtime name they use. A "
        "runtime may have its own `seal`. `None`: with `gvisor_default` all that a seal can "
        "refuse, otherwise nothing.",
    )
