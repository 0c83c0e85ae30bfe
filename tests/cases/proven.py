"""A node on which everything is as the default settings ask for, and was proven."""

from typing import Any

from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.planning.wanted import wanted_daemon_json
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings
from tests.arguments import Data
from tests.unit.answers import after, answer, node
from tests.unit.parts import judge_answers

SETTINGS = Settings()
RELEASE = SETTINGS.release
PROFILES = SETTINGS.runtimes
WANTED = wanted_daemon_json(SETTINGS)
DEFAULTS = SETTINGS.daemon_json_defaults()
LINK = f"/opt/gvisor/releases/{RELEASE}/runsc"

INSTALLED: dict[str, Any] = {
    "releases": [RELEASE],
    "wrappers": {item.path: item.sha256 for item in wrappers(RELEASE, PROFILES)},
    "runsc_link": LINK,
}


def converged(settings: Settings = SETTINGS) -> Data:
    """What ``answer`` needs for a node that has everything that is declared but its proof."""
    wanted, defaults = wanted_daemon_json(settings), settings.daemon_json_defaults()
    plan = plan_daemon_json(node(), wanted, if_absent=defaults)
    written = wrappers(settings.release, settings.runtimes, settings.dispatch)
    return {**after(plan), **INSTALLED, "wrappers": {item.path: item.sha256 for item in written}}


def with_proof(given: Data, settings: Settings) -> Data:
    """Such a node with the record of a proof of what is declared."""
    now = parse_node([*judge_answers.declared(settings), *answer(**given)])
    release = settings.release
    digest = fingerprint(now, release, settings.proven_runtimes, declared=settings)
    return {**given, "state": {**given["state"], "proof": {"fingerprint": digest}}}


def proven(settings: Settings = SETTINGS) -> Data:
    """What ``answer`` needs for a node that has everything that is declared."""
    return with_proof(converged(settings), settings)


def proven_answer(**changes: Any) -> list[str]:
    """Such a node's answer."""
    return answer(**{**proven(), **changes})
