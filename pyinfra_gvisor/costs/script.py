"""The script that measures: assembled for the runtimes that are declared for a host."""

from __future__ import annotations

from pyinfra_gvisor.base.scripts import program, script
from pyinfra_gvisor.proof.check import CONTROL
from pyinfra_gvisor.proof.script import for_containers
from pyinfra_gvisor.settings import Settings

LEAST, MOST, ENOUGH_S = 5, 9, 100
_START_S, _ROUND_S = 60, 20  # a round of a runtime takes 6 s on an idle node


def limit_s(settings: Settings) -> int:
    """Return the seconds that a measurement may take on a node whose Docker answers at once."""
    return _START_S + ENOUGH_S + _ROUND_S * (LEAST + 1) * (len(settings.runtimes) + 1)


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
