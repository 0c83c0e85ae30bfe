"""The sample as a part."""

from __future__ import annotations

from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.parts.sample.plan import plan_sample
from pyinfra_gvisor.parts.sample.settings import SampleSettings
from pyinfra_gvisor.parts.sample.state import SampleState

PART = Part(
    "sample",
    "last",
    lambda settings: settings.part(SampleSettings).sample is not None,
    lambda node, settings, _plan: plan_sample(
        node.part(SampleState), settings.part(SampleSettings).sample, init=node.init
    ),
    "systemd, if `gvisor_sample` is set",
    "systemd(1)",
    key="sample",
    title="the sample",
)
