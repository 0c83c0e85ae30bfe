"""The check of the proof that is about the sample."""

from __future__ import annotations

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.sample.settings import SampleSettings
from pyinfra_gvisor.parts.sample.state import SampleState
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.check import Check
from pyinfra_gvisor.proof.judges import same, shows
from pyinfra_gvisor.proof.part import Declared, PartProof

CHECKS = (
    Check(
        "sample-read",
        "the sentence is not readable",
        "nothing is mounted",
        "sample_read",
        Severity.LOW,
        "run deploys/gvisor.py",
        *same(shows("sample_read", "nothing")),
        unless="no `gvisor_sample` is declared",
    ),
)


def _sample(declared: Declared) -> str | None:
    return declared.part(SampleSettings).sample if declared else None


def _skipped(declared: Declared) -> dict[str, str]:
    return {} if _sample(declared) else {"sample-read": "no sentence is declared"}


def _given(_node: Node, declared: Declared) -> dict[str, str] | None:
    return {"sentence": text} if (text := _sample(declared)) else None


def _state(node: Node, declared: Declared) -> str | None:
    return node.part(SampleState).text if _sample(declared) else None


PROOF = PartProof(CHECKS, _skipped, _given, _state)
