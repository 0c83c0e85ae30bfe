"""What all parts add to the proof."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.proof.part import PartProof


def proofs_of_parts() -> Mapping[str, PartProof]:
    """Return the parts that have checks, by name."""
    return members("proof", "PROOF")
