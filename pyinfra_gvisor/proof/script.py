"""The script that probes a node: put together for its runtimes, and for who starts its dockerd."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pyinfra_gvisor.daemon_json.service import service_script
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.proof.check import CONTROL, has_names
from pyinfra_gvisor.proof.part import Declared, proofs_of_parts
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.scripts import encoded, program, script

# Seconds. A proof takes 20 to 40 where Docker answers within a twentieth of one.
SILENT_S, FAST_S, PER_ANSWER_S, MOST_S = 60, 120, 400, 3600
VERDICTS = (
    "scripts/docker_api.pl",
    *("sandbox/process.pl", "sandbox/verdict.pl", "sandbox/ground.pl"),
    "scripts/prove_verdict.pl",
)
# Reserved by RFC 2606, and kept resolvable by IANA: https://www.iana.org/help/example-domains
EXTERNAL_NAME = "example.com"


def probe_script(
    node: Node,
    runtimes: Mapping[str, Runtime],
    *,
    image: str | None = None,
    no_reload: str | None = None,
    declared: Declared = None,
) -> str:
    """
    One shell script: start a probe under each runtime and under the control, look, tidy up.

    + image: the image to start them from, which has to be on the node; None: an empty one is made
    + no_reload: why dockerd is not to be reloaded meanwhile
    + declared: the settings whose parts are to be seen at work; None: none is
    """
    asked = {name: part.given(node, declared) for name, part in proofs_of_parts().items()}
    trying = {name: given for name, given in asked.items() if given is not None}
    return script(
        *(() if no_reload else (service_script(node), "dockerd", "prove_reload")),
        *(f"parts/{name}/proof" for name in trying),
        "prove_names",
        "prove_look",
        "prove",
        runtimes=" ".join((*runtimes, CONTROL)),
        offline=" ".join(name for name, item in runtimes.items() if item.network == "none"),
        named=" ".join((*(name for name, item in runtimes.items() if has_names(item)), CONTROL)),
        image=image or "",
        external=EXTERNAL_NAME,
        program_b64=encoded(program("scripts/prove_container.pl")),
        verdicts=program(*VERDICTS),
        no_reload=no_reload or "",
        trying=" ".join(trying),
        **({} if no_reload else _for_reload(node)),
        **{key: value for given in trying.values() for key, value in given.items()},
    )


def within_script() -> str:
    """What runs such a script, which is its first argument, for as long as the node may need."""
    return script(
        "prove_within",
        silent_s=SILENT_S,
        fast_s=FAST_S,
        per_answer_s=PER_ANSWER_S,
        most_s=MOST_S,
    )


def _for_reload(node: Node) -> dict[str, str | int]:
    """What the parts want that know dockerd; what they would look for in the end is not theirs."""
    return {
        "file": DAEMON_JSON,
        "state_dir": STATE_DIR,
        "expect_sha256": node.daemon_json.sha256,
        "unit": node.supervisor.unit,
        "timeout_s": 30,
        "live_restore": "",
        "default_runtime": "",
        "began": int(time.time()),
    }
