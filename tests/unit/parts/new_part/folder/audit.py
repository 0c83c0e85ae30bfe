"""What is looked for of the sample."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.parts.sample.observed import SampleObserved
from pyinfra_gvisor.parts.sample.plan import FILE
from pyinfra_gvisor.parts.sample.settings import SampleSettings
from pyinfra_gvisor.parts.sample.state import SampleState
from pyinfra_gvisor.policy.findings import Severity


def _other(host: Audited) -> Iterator[Observation]:
    wanted = host.settings.part(SampleSettings).sample
    if host.node.part(SampleState).text != wanted:
        yield Observation(FILE, f"read {host.observed.part(SampleObserved).readers} times")


RULES: tuple[Rule[Audited], ...] = (
    Rule("sample-other", Severity.LOW, "the sentence is another", "run deploys/gvisor.py", _other),
)
