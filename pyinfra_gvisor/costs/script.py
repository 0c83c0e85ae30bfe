"""The script that measures: assembled for the runtimes that are declared for a host."""

from __future__ import annotations

from typing import Final

from pyinfra_gvisor.base.scripts import program, script
from pyinfra_gvisor.proof.check import CONTROL
from pyinfra_gvisor.proof.script import for_containers
from pyinfra_gvisor.settings import Settings

# A round takes about 5 s for each runtime.
LEAST, MOST, ENOUGH_S = 5, 9, 100
LIMIT_S: Final = 300
"""Seconds on a node whose Docker answers at once; see ``within_script``."""


def measure_script(settings: Settings) -> str:
    """Return one shell script: do the work under runc and each runtime in rounds, and clean up."""
    return script(
        "base/holder",
        "proof/containers",
        "costs/measure",
        **for_containers(
            "the measurement",
            program("costs/clock.pl", "costs/work.pl"),
            settings.proven_runtimes,
            settings.proof_image,
        ),
        trying="",
        runtimes=" ".join((CONTROL, *settings.runtimes)),
        offline=" ".join(name for name, it in settings.runtimes.items() if it.network == "none"),
        attend=program("costs/clock.pl", "costs/attend.pl"),
        least=LEAST,
        most=MOST,
        enough_s=ENOUGH_S,
    )
