"""Ask a node where its containers would run after their next start, and read its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.base.scripts import packed
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.programs import (
    JUDGE_SOCKET,
    asking_program,
    judge_checksum,
    judge_program,
)
from pyinfra_gvisor.dispatch.seal import Seal


@dataclass(frozen=True)
class Preview:
    """
    What a node needs to know to say where containers would run. An argument of facts.

    + declared: the declared policy and seals, in JSON
    + choosing: the policy alone, for who does not ask what a seal refuses, and opens no mounts
    + decides: False if only seals are declared, no default runtime
    """

    declared: str
    choosing: str
    decides: bool

    def __str__(self) -> str:
        """Return what messages of pyinfra show of this argument: the policy is long."""
        return "as declared"

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables of ``preview.sh``: the same for the same policy."""
        return {
            "judge": judge_checksum(),
            "judge_socket": JUDGE_SOCKET,
            "asking": asking_program(),
            "judge_program": packed(judge_program(resident=False)),
            "declared": packed(self.declared),
        }


def preview(dispatch: Dispatch | None, seals: Mapping[str, Seal], default: str) -> Preview | None:
    """
    Return what to ask a node; None if neither a default runtime nor a seal is declared.

    + seals: the seal of each declared runtime that has one
    + default: the name of the default runtime in Docker
    """
    if dispatch is None and not seals:
        return None
    known = {name: seal.rules() for name, seal in seals.items()}
    if dispatch is not None and dispatch.runtime in known:
        known[default] = known[dispatch.runtime]
    declared = {
        "policy": None if dispatch is None else dispatch.rules(),
        "seals": known,
        "default": default,
        "takes_runc": dispatch is not None and dispatch.takes_runc,
        "door": dispatch is not None and dispatch.door != "off",
    }
    choosing = {**declared, "seals": dict.fromkeys(known)}
    return Preview(_json(declared), _json(choosing), decides=dispatch is not None)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
