"""A node on which everything is as the default settings ask for, and was proven."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.wanted import wanted_daemon_json
from tests.unit.answers import after, answer, node

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


def converged() -> dict[str, Any]:
    """What ``answer`` needs for a node that has everything but its proof."""
    plan = plan_daemon_json(node(), WANTED, if_absent=DEFAULTS)
    return {**after(plan), **INSTALLED}


def proven() -> dict[str, Any]:
    """What ``answer`` needs for a node that has everything."""
    given = converged()
    digest = fingerprint(node(**given), RELEASE, PROFILES)
    return {**given, "state": {**given["state"], "proof": {"fingerprint": digest}}}


def proven_answer(**changes: Any) -> list[str]:
    """Such a node's answer."""
    return answer(**{**proven(), **changes})
