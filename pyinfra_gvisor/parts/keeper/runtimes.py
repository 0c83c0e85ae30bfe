"""What the keeper checks of dockerd's runtimes, of their wrappers and of the release."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node_files import RECORDS_DIR, NodeFile
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR
from pyinfra_gvisor.scripts import program
from pyinfra_gvisor.settings import Settings

_ASKS = ("scripts/json.pl", "scripts/docker_api.pl", "parts/keeper/info.pl")


def _wrappers(_node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    found = wrappers(settings.release, settings.runtimes, settings.dispatch)
    return tuple(NodeFile(item.path, "755", item.text) for item in found)


def _runtimes(node: Node, settings: Settings) -> Mapping[str, str]:
    found = wrappers(settings.release, settings.runtimes, settings.dispatch)
    lines = [f"runtime {item.runtime} {item.path}" for item in found if item.is_runtime]
    lines += [f"default {DEFAULT_RUNTIME}"] if settings.dispatch else []
    return {
        "runtimes_declared": "\n".join(lines),
        "runtimes_ask": program(*_ASKS),
        "runtimes_records": RECORDS_DIR,
        "runtimes_dockerd": node.supervisor.unit,
    }


def _release(_node: Node, settings: Settings) -> Mapping[str, str]:
    return {"release_home": f"{RELEASES_DIR}/{settings.release}"}


RUNTIMES = Keep(("parts/keeper/runtimes",), _wrappers, _runtimes)
RELEASE = Keep(("manifest", "parts/keeper/release"), lambda _node, _settings: (), _release)
