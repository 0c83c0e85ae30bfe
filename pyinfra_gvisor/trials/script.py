"""The script of a trial: assembled for one container and the runtime that is declared for it."""

from __future__ import annotations

from typing import Final

from pyinfra_gvisor.base.redaction import SECRET_NAME
from pyinfra_gvisor.base.scripts import DOCKER_ANSWERS, program, script
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.proof.script import for_containers
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.trials.asked import Asked

PROGRAM: Final = program(
    *DOCKER_ANSWERS, *(f"trials/{name}.pl" for name in ("secrets", "copy", "trial"))
)
"""The program of perl that makes and watches the copies of a container."""
_AROUND_S: Final = 120  # for what is done before, between and after


def trial_script(asked: Asked, node: Node, settings: Settings) -> str:
    """Return one shell script: run the control and the twin, print what is seen, clean up."""
    is_ours = node.info is not None and node.info.default_runtime == DEFAULT_RUNTIME
    return script(
        "base/holder",
        "proof/containers",
        "trials/trial",
        **for_containers("the trial", "", (DEFAULT_RUNTIME,) if is_ours else (), None),
        trying="",
        app=asked.id,
        runtime=asked.outlook.runtime,
        seconds=asked.seconds,
        connects="1" if settings.runtimes[asked.outlook.runtime].network == "sandbox" else "",
        control="1" if asked.control else "",
        secret=SECRET_NAME,
        trial=PROGRAM,
    )


def limit_s(seconds: int) -> int:
    """Return the seconds that a trial may take on a node whose Docker answers at once."""
    return 2 * seconds + _AROUND_S
