"""Rules about volumes that are a directory or device of the node by their options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import normpath

from pyinfra_gvisor.audit.mount_rules import described, guarded, roots
from pyinfra_gvisor.audit.observed import Mounted, Volume
from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.judge.mounts import FOREIGN
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.guarded import Guarded, given_away, is_below

MANY = 50  # volumes to report: a tenant can create thousands


def _opens_node(host: Audited) -> Iterator[Observation]:
    if why := host.observed.volumes_error:
        yield Observation("volumes", f"not known: {cut(why)}", Severity.MEDIUM)
    known = guarded(host)
    seals = [item.seal for item in host.settings.runtimes.values() if item.seal]
    allowed = {path for seal in seals for path in seal.binds}
    found = [_judged(item, known) for item in _unmounted(host) if not _is_harmless(item, allowed)]
    found.sort(key=lambda item: -(item.severity or Severity.HIGH).rank)
    yield from found[:MANY]
    if more := found[MANY:]:
        yield Observation("volumes", f"{len(more)} more", more[0].severity)


def _unmounted(host: Audited) -> list[Volume]:
    """Return the volumes without the places at which Docker mounts them for containers."""
    volumes = host.observed.volumes
    own = {f"{root}/volumes/{item.name}/_data" for root in roots(host) for item in volumes}
    return [
        item.model_copy(update={"places": tuple(path for path in item.places if path not in own)})
        for item in volumes
    ]


def _is_bind(volume: Volume) -> bool:
    """Return True if the volume is a directory or file, whatever type it names: mount(2)."""
    return not {"bind", "rbind"}.isdisjoint(volume.options.split(","))


def _is_harmless(volume: Volume, allowed: Iterable[str]) -> bool:
    """Return True if the volume has none of the node's files, except for those in ``allowed``."""
    if not _is_bind(volume):
        return volume.type in FOREIGN
    paths = volume.places or (_absolute(volume.device),)
    return any(is_below(path, directory) for path in paths for directory in allowed)


def _absolute(device: str) -> str:
    return normpath(f"/{device}").replace("//", "/")


def _judged(volume: Volume, known: list[tuple[Guarded, tuple[str, ...]]]) -> Observation:
    mount = Mounted(source=_absolute(volume.device), places=volume.places)
    hits = list(given_away(mount.paths, known, writable=True))
    ours = any(item.kind == "ours" for item, _ in hits)
    is_plain = _is_bind(volume) and not hits
    severity = Severity.CRITICAL if ours else Severity.MEDIUM if is_plain else None
    what = described(mount, hits) if hits else cut(volume.device)
    options = cut(f"type={volume.type}, o={volume.options}")
    return Observation(f"volume {cut(volume.name)}", f"device: {what}; {options}", severity)


VOLUME_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "volume-opens-node",
        Severity.HIGH,
        "This volume is a directory or device of the node, and dockerd copies files of images into "
        "it before a container starts",
        "Remove the volume (docker volume rm), find out who created it, and look for files in this "
        "directory that are not yours. If it is yours, add the directory to binds of gvisor_seal",
        _opens_node,
    ),
)
