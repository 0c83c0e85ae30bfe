"""What a node tells of its firewall, and of the ways into it and out of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from pydantic import Field

from pyinfra_gvisor.models import Reading
from pyinfra_gvisor.node_files import FoundFile, read_files
from pyinfra_gvisor.parts.state import PartState


class DockerNetwork(Reading):
    """A network of Docker's; ``bridge`` is the interface it makes, empty if it makes none."""

    name: str
    driver: str
    bridge: str = ""


class Ssh(Reading):
    """The connection that we came by: who from, and the interface it arrives on."""

    client: str
    port: int
    interface: str = ""


class EgressState(PartState):
    """
    The firewall as it is, and what its rules depend on.

    ``rules`` is the text of our file, None if there is none. ``now`` is a checksum of the table in
    the kernel, without counters and what its sets have gathered, None if there is no table;
    ``as_loaded`` is what it was when it was loaded, and ``loaded_from`` the sha256 of the file it
    was loaded from. ``pending``: rules that no controller has confirmed yet. ``ports`` is a port
    that leaves the node, by the bridge that has it.
    """

    nft: bool = False
    files: dict[str, FoundFile] = Field(default_factory=dict)
    rules: str | None = None
    enabled: bool = False
    unit: str | None = None
    pending: bool = False
    now: str | None = None
    as_loaded: str | None = None
    loaded_from: str | None = None
    uplinks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    ports: dict[str, str] = Field(default_factory=dict)
    resolvers: tuple[str, ...] = ()
    ssh: Ssh | None = None
    managers: tuple[str, ...] = ()
    networks: tuple[DockerNetwork, ...] = ()
    published: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        """Whether any of it is there."""
        return bool(self.files) or self.enabled or self.pending or self.now is not None

    @property
    def in_force(self) -> bool:
        """Whether the table in the kernel is still the one that was loaded."""
        return self.now is not None and self.now == self.as_loaded

    @property
    def is_other_file(self) -> bool:
        """Whether what was loaded last is another text than the file that is there."""
        rules = next(
            (file for path, file in self.files.items() if path.endswith("/rules.nft")), None
        )
        return rules is None or rules.sha256 != self.loaded_from


def read(lines: Sequence[str]) -> EgressState:
    """
    What ``state.sh`` and ``docker_state.sh`` tell, a kind and a value each.

    Raises ``ValueError`` if a line is malformed.
    """
    told: dict[str, list[str]] = {}
    for line in lines:
        kind, _, value = line.partition(" ")
        told.setdefault(kind, []).append(value)
    one = {kind: values[-1] for kind, values in told.items()}
    files = [f"{kind} {value}" for kind in ("sum", "stat") for value in told.get(kind, ())]
    as_loaded, _, loaded_from = one.get("loaded", "").partition(" ")
    return EgressState(
        nft="nft" in told,
        files=read_files(files),
        rules=_text(one["rules"]) if "rules" in one else None,
        enabled="enabled" in told,
        unit=one.get("unit"),
        pending="pending" in told,
        now=one.get("now"),
        as_loaded=as_loaded or None,
        loaded_from=loaded_from or None,
        uplinks=tuple(dict.fromkeys(told.get("uplink", ()))),
        bridges=tuple(told.get("bridge", ())),
        ports=dict(_pair(line) for line in told.get("port", ())),
        resolvers=tuple(dict.fromkeys(told.get("resolver", ()))),
        ssh=_ssh(one.get("ssh")),
        managers=tuple(told.get("manager", ())),
        networks=tuple(_network(line) for line in told.get("network", ())),
        published=tuple(sorted(set(told.get("published", ())))),
    )


def _text(encoded: str) -> str:
    """What somebody has made unreadable is not as declared, and no reason to know nothing."""
    return base64.b64decode(encoded, validate=True).decode(errors="replace")


def _ssh(line: str | None) -> Ssh | None:
    if line is None:
        return None
    client, port, interface = line.split(" ", 2)
    return Ssh(client=client, port=int(port), interface=interface)


def _pair(line: str) -> tuple[str, str]:
    bridge, port = line.split(" ")
    return bridge, port


def _network(line: str) -> DockerNetwork:
    """``driver bridge name``; ``-`` for no bridge. A name may have any character but a newline."""
    driver, bridge, name = line.split(" ", 2)
    return DockerNetwork(name=name, driver=driver, bridge="" if bridge == "-" else bridge)
