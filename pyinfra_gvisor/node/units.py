"""What systemd does to other units and to containers when dockerd's unit is restarted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.node.containers import Container

SHORT_ID = 12  # characters that docker ps shows: docker/docs, reference/cli/docker/container/ls


class Units(Reading):
    """
    Units that have to do with dockerd's, and containers whose shims systemd would kill.

    + dependents: units that systemd stops and starts together with dockerd's unit
    + attached: units of which a process is a docker client that ends when dockerd does, such as
      ``docker run`` in the foreground; with the containers that these clients name
    + killed: ids of containers whose shims end with dockerd's unit
    """

    dependents: tuple[str, ...] = ()
    attached: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    killed: tuple[str, ...] = ()

    def ending(self, allowed: Collection[str]) -> list[str]:
        """Return the units whose docker clients a restart ends, without ``allowed``."""
        return [name for name in self.attached if name not in allowed]

    @property
    def left_alone(self) -> list[str]:
        """Return the units that depend on dockerd's unit, and that a restart leaves as they are."""
        return [name for name in self.dependents if name not in self.attached]

    @property
    def nameless(self) -> list[str]:
        """Return the units whose docker clients name no container."""
        return [unit for unit, names in self.attached.items() if not names]

    def names(self, container: Container) -> bool:
        """Return True if an ``attached`` client names it, as in ``is_spared`` of ``dockerd.sh``."""
        named = [name for names in self.attached.values() for name in names]
        return container.name in named or any(
            len(name) >= SHORT_ID and container.id.startswith(name) for name in named
        )


def read_units(lines: Sequence[str]) -> Units:
    """Return what ``node/units.pl`` printed. Raises ``ValueError`` if a line is malformed."""
    found: dict[str, list[str]] = {"dependent": [], "killed": []}
    attached: dict[str, tuple[str, ...]] = {}
    for line in sorted(lines):
        kind, name, *containers = line.split(" ")
        if kind == "attached":
            attached[name] = tuple(dict.fromkeys((*attached.get(name, ()), *containers)))
        else:
            found[kind].append(name)
    dependents, killed = (tuple(found[kind]) for kind in ("dependent", "killed"))
    return Units(dependents=dependents, attached=attached, killed=killed)
