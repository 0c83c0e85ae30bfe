"""What the settings of a host ask of daemon.json: the hardened keys, and the runtimes."""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.text import Json
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings


def wanted_daemon_json(settings: Settings) -> dict[str, Json]:
    """All keys of daemon.json to own: the hardened ones, and a ``runtimes`` without arguments."""
    wanted = settings.wanted_daemon_json()
    if settings.runtimes:
        entries = wrappers(settings.release, settings.runtimes)
        wanted["runtimes"] = {item.runtime: {"path": item.path} for item in entries}
    return wanted
