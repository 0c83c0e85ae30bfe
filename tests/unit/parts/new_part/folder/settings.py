"""The ``gvisor_sample`` key."""

from __future__ import annotations

from pydantic import Field

from pyinfra_gvisor.base.models import Strict


class SampleSettings(Strict):
    """The one key of the sample."""

    sample: str | None = Field(None, description="The sentence; `None`: none is on the node.")


SETTINGS = SampleSettings
