"""The probe script: assembled for the node's runtimes and for its service manager."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from pyinfra_gvisor.base.scripts import encoded, program, script
from pyinfra_gvisor.daemon_json.service import service_script
from pyinfra_gvisor.daemon_json.shared_lists import asking_plugins
from pyinfra_gvisor.dispatch.programs import PERMITS
from pyinfra_gvisor.judge.permits import DOOR, HEADER
from pyinfra_gvisor.node import DAEMON_JSON, STATE_DIR, Node
from pyinfra_gvisor.proof.check import CONTROL, has_names, refuses_probes
from pyinfra_gvisor.proof.every import proofs_of_parts
from pyinfra_gvisor.proof.part import Declared
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, RUNC_BY_NAME, Runtime

# Seconds. A proof takes 20 s to 40 s if Docker answers within 0.05 s. On an emulated processor one
# of three runtimes with all parts took as long as 550 answers (seen). Twice that, as other work on
# the node may begin meanwhile.
SILENT_S, FAST_S, PER_ANSWER_S, MOST_S = 60, 120, 1100, 3600
VERDICTS = (
    *("base/json.pl", "base/docker_api.pl"),
    *(f"sandbox/{name}.pl" for name in ("process", "runc_names", "verdict", "ground")),
    "proof/verdict.pl",
)
# Reserved by RFC 2606, and kept resolvable by IANA: https://www.iana.org/help/example-domains
EXTERNAL_NAME = "example.com"


_PERMITTING = {"permits": PERMITS, "door_file": DOOR, "door_header": HEADER}
_RELOAD = ("daemon_json/dockerd", "daemon_json/plugins", "proof/reload")


def probe_script(
    node: Node,
    runtimes: Mapping[str, Runtime],
    *,
    image: str | None = None,
    no_reload: str | None = None,
    declared: Declared = None,
) -> str:
    """
    Return one shell script: start a probe under each runtime and under runc, observe, clean up.

    + image: the image of the probes, which must be on the node; None: the script makes an empty one
    + no_reload: why dockerd must not be reloaded; None if it may
    + declared: the settings whose parts the proof must see working; None for no part
    """
    asked = {name: part.given(node, declared) for name, part in proofs_of_parts().items()}
    trying = {name: given for name, given in asked.items() if given is not None}
    return script(
        *(() if no_reload else (service_script(node), *_RELOAD)),
        *(f"parts/{name}/proof" for name in trying),
        "base/holder",
        "proof/containers",
        "proof/names",
        "proof/look",
        "proof/prove",
        runtimes=" ".join((*runtimes, CONTROL)),
        offline=" ".join(name for name, item in runtimes.items() if item.network == "none"),
        named=" ".join((*(name for name, item in runtimes.items() if has_names(item)), CONTROL)),
        sealed=" ".join(name for name, item in runtimes.items() if refuses_probes(item)),
        external=EXTERNAL_NAME,
        verdicts=program(*VERDICTS),
        **for_containers("the proof", program("proof/container.pl"), runtimes, image),
        no_reload=no_reload or "",
        trying=" ".join(trying),
        **({} if no_reload else _for_reload(node)),
        **{key: value for given in trying.values() for key, value in given.items()},
    )


def for_containers(
    task: str, text: str, runtimes: Iterable[str], image: str | None
) -> dict[str, str]:
    """
    Return the variables of ``proof/containers.sh`` but ``trying``.

    + task: what the containers are for, as messages name it
    + text: the program of perl that runs in them
    + runtimes: names, the node's default among them if it is ours
    + image: as in ``probe_script``
    """
    names = {*runtimes}
    return {
        "task": task,
        "program_b64": encoded(text),
        "image": image or "",
        "default": DEFAULT_RUNTIME if DEFAULT_RUNTIME in names else "",
        "by_name": RUNC_BY_NAME if RUNC_BY_NAME in names else "",
        **_PERMITTING,
    }


def within_script(fast_s: int = FAST_S) -> str:
    """
    Return the script that runs a probe script, its first argument, with a time limit.

    + fast_s: the limit in seconds on a node whose Docker answers at once
    """
    return script(
        "proof/within",
        silent_s=SILENT_S,
        fast_s=fast_s,
        per_answer_s=PER_ANSWER_S,
        most_s=MOST_S,
    )


def _for_reload(node: Node) -> dict[str, str | int]:
    """Return the variables of the shared dockerd scripts; a reload here checks no result."""
    return {
        "file": DAEMON_JSON,
        "state_dir": STATE_DIR,
        "expect_sha256": node.daemon_json.sha256,
        "unit": node.supervisor.unit,
        "timeout_s": 30,
        "live_restore": "",
        "default_runtime": "",
        "began": int(time.time()),
        **asking_plugins(node.daemon_json.text, node.daemon_json.text),
    }
