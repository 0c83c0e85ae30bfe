"""What a part adds to the proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts import members
from pyinfra_gvisor.proof.check import Check
from pyinfra_gvisor.settings import Settings

NOT_WHILE_TRIED = "not while a release is only tried"

Declared = Settings | None
"""The host's settings, None where a proof is about no part."""


def _nothing(*_asked: object) -> None:
    return None


def _no_reasons(_declared: Declared) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class PartProof:
    """
    The checks of a part, and what they need.

    ``spared``: why checks of it do not apply, by id. ``given``: what its script ``proof.sh`` has to
    know, None where it is not to run. ``state``: what of it has to be the same for an earlier proof
    to hold, as JSON knows it; None where it is not declared.
    """

    checks: tuple[Check, ...]
    spared: Callable[[Declared], Mapping[str, str]] = _no_reasons
    given: Callable[[Node, Declared], Mapping[str, str] | None] = _nothing
    state: Callable[[Node, Declared], object] = _nothing


def proofs_of_parts() -> Mapping[str, PartProof]:
    """Return what parts add, by their names; most add nothing."""
    return members("proof", "PROOF")
