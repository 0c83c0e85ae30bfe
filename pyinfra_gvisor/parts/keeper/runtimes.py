"""What the keeper checks of dockerd's runtimes, of their wrappers and of the release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyinfra_gvisor.base.node_files import RECORDS_DIR, NodeFile
from pyinfra_gvisor.base.scripts import program
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.keeping import Keep
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR
from pyinfra_gvisor.settings import Settings

_ASKS = ("base/json.pl", "base/docker_api.pl", "parts/keeper/info.pl")


@dataclass(frozen=True)
class Restored:
    """
    What the keeper checks after a rollback, until the next deploy.

    + parts: the names of the parts, which a rollback leaves as they are
    + runtimes: the paths of the wrappers that dockerd has again, by runtime
    + default: whether gVisor is dockerd's default runtime again
    + release: the release of the runtimes; None if there are none
    """

    parts: tuple[str, ...]
    runtimes: Mapping[str, str]
    default: bool
    release: str | None


def runtime_keeps(settings: Settings, restored: Restored | None = None) -> dict[str, Keep]:
    """
    Return what the keeper checks of runtimes and release; empty without runtimes.

    The texts of restored wrappers are not known here, so only dockerd and the release are checked.
    """
    if restored is None:
        return {"runtimes": RUNTIMES, "release": RELEASE} if settings.runtimes else {}
    if not restored.release:
        return {}
    lines = [f"runtime {name} {path}" for name, path in restored.runtimes.items()]
    lines += [f"default {DEFAULT_RUNTIME}"] if restored.default else []
    home = _home(restored.release)
    return {
        "runtimes": Keep(RUNTIMES.scripts, lambda *_: (), lambda node, _: _asking(node, lines)),
        "release": Keep(RELEASE.scripts, lambda *_: (), lambda *_: home),
    }


def _wrappers(_node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    found = wrappers(settings.release, settings.runtimes, settings.dispatch)
    return tuple(NodeFile(item.path, "755", item.text) for item in found)


def _runtimes(node: Node, settings: Settings) -> dict[str, str]:
    found = wrappers(settings.release, settings.runtimes, settings.dispatch)
    lines = [f"runtime {item.runtime} {item.path}" for item in found if item.is_runtime]
    lines += [f"default {DEFAULT_RUNTIME}"] if settings.dispatch else []
    return _asking(node, lines)


def _asking(node: Node, lines: Sequence[str]) -> dict[str, str]:
    return {
        "runtimes_declared": "\n".join(lines),
        "runtimes_ask": program(*_ASKS),
        "runtimes_records": RECORDS_DIR,
        "runtimes_dockerd": node.supervisor.unit,
    }


def _home(release: str) -> dict[str, str]:
    return {"release_home": f"{RELEASES_DIR}/{release}"}


RUNTIMES = Keep(("parts/keeper/runtimes",), _wrappers, _runtimes)
RELEASE = Keep(
    ("releases/manifest", "parts/keeper/release"),
    lambda *_: (),
    lambda _, settings: _home(settings.release),
)
