"""Ask a node where its containers would run after their next start, and read its answer."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.dispatch.programs import literal
from pyinfra_gvisor.dispatch.seal import Seal

# With a policy the same code decides that creates containers: see `judge_program`.
JUDGING = ("dispatch/container.pl", "dispatch/choose.pl", "dispatch/preview.pl")
_BEFORE = (
    *("base/json.pl", "base/docker_api.pl", "sandbox/runc_names.pl"),
    *("dispatch/places.pl", "dispatch/journal.pl", "dispatch/seal.pl"),
)


@dataclass(frozen=True)
class Preview:
    """
    What a node needs to know to say where containers would run. An argument of facts.

    + given: perl code that sets the declared policy and seals
    + decides: False if only seals are declared, no default runtime
    """

    given: str
    decides: bool

    def __str__(self) -> str:
        """Return what messages of pyinfra show of this argument: the policy is long."""
        return "as declared"

    @property
    def encoded(self) -> str:
        """Return the program for ``preview.sh``: the same text for the same policy."""
        text = program(*_BEFORE, *JUDGING[:-1]) + self.given
        text += program(JUDGING[-1], "dispatch/preview_told.pl")
        return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def preview(dispatch: Dispatch | None, seals: Mapping[str, Seal], default: str) -> Preview | None:
    """
    Return what to ask a node; None if neither a default runtime nor a seal is declared.

    + seals: the seal of each declared runtime that has one
    + default: the name of the default runtime in Docker
    """
    if dispatch is None and not seals:
        return None
    known = {name: seal.to_perl() for name, seal in seals.items()}
    if dispatch is not None:
        known[default] = known[dispatch.runtime]
    values = {
        "policy": None if dispatch is None else dispatch.to_perl(),
        "seals": known,
        "default": default,
        "takes_runc": dispatch is not None and dispatch.takes_runc,
    }
    given = "".join(f"$Preview::{name} = {literal(value)};\n" for name, value in values.items())
    return Preview(given, decides=dispatch is not None)
