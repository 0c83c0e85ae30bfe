"""The ``gvisor_*`` keys about containers that ask for no runtime, and about what they may have."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.models import Strict


class DispatchSettings(Strict):
    """Settings of the default runtime, of its policy, and of the seal."""

    default: Literal["off", "sandbox"] = Field(
        "off",
        description="Where a container runs that asks for no runtime. `off`: as Docker decides. "
        "`sandbox`: in gVisor, unless `gvisor_infrastructure` names it.",
    )
    default_runtime: str | None = Field(
        None,
        description="The runtime in `gvisor_runtimes` for such containers. `None`: `runsc`, or "
        "else the first one.",
    )
    infrastructure: tuple[Infrastructure, ...] = Field(
        (),
        description="With `gvisor_default`: the containers that run under runc, such as the "
        "platform's own. `pyinfra-gvisor accept` writes the entries. `[]`: none.",
    )
    seal: Seal | None = Field(
        None,
        description="What containers in a sandbox may not have, by whatever runtime name they run. "
        'A runtime in `gvisor_runtimes` may have a `"seal"` of its own. `None`: with '
        "`gvisor_default` everything that a seal can refuse, otherwise nothing.",
    )
