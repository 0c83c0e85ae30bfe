"""What a part adds to the proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.check import Check
from pyinfra_gvisor.settings import Settings

NOT_WHILE_TRIED = "not checked while a release is only tried"

Declared = Settings | None
"""The host's settings; None if a proof checks no part."""


def _nothing(*_asked: object) -> None:
    return None


def _no_reasons(_declared: Declared) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class PartProof:
    """
    The checks of a part, and what they need.

    ``skipped`` returns why its checks do not apply, by id. ``given`` returns the variables of its
    script ``proof.sh``; None if the script is not run. ``state`` returns its share of the proof's
    fingerprint, as JSON; None if the part is not declared.
    """

    checks: tuple[Check, ...]
    skipped: Callable[[Declared], Mapping[str, str]] = _no_reasons
    given: Callable[[Node, Declared], Mapping[str, str] | None] = _nothing
    state: Callable[[Node, Declared], object] = _nothing
