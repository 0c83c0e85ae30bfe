"""Parse a node's firewall, and the interfaces and connections that its rules could cut."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from ipaddress import ip_address

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.node_files import FoundFile, read_files
from pyinfra_gvisor.parts_common.state import PartState

IPV6_LENGTH_BYTES = 16


class DockerNetwork(Reading):
    """A Docker network; ``bridge`` is the interface that it creates, empty if it creates none."""

    name: str
    driver: str
    bridge: str = ""


class Subnet(Reading):
    """Addresses of a Docker network, as Docker has them: any text."""

    name: str
    driver: str
    subnet: str


class Log(Reading):
    """
    Where dockerd sends what a running container prints.

    ``address`` is as Docker has it, empty if the driver needs none or has a default. ``at`` is what
    it leads to from the node, empty if that is not known; ``is_own``: to the node itself.
    """

    container: str
    driver: str
    address: str = ""
    at: str = ""
    is_own: bool = False


class Ssh(Reading):
    """The controller's SSH connection: its address, our port, and the interface it arrives on."""

    client: str
    port: int
    interface: str = ""


class EgressState(PartState):
    """
    The actual firewall, and what its rules depend on.

    ``rules`` is the text of our file, None if there is none. ``now`` is a checksum of the table in
    the kernel, without its counters and the members of its sets; None if there is no table.
    ``as_loaded`` is the same checksum at the time of loading, and ``loaded_from`` the sha256 of the
    loaded file. ``unfiltered`` are control groups of Docker's that the table does not know.
    ``pending``: there are rules that no controller has confirmed yet. ``ports`` maps a bridge to
    one of its ports that leaves the node. ``gateways`` are addresses of default routes.
    Only an audit asks for ``subnets``.
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
    unfiltered: tuple[str, ...] = ()
    follower: str | None = None
    uplinks: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    ports: dict[str, str] = Field(default_factory=dict)
    resolvers: tuple[str, ...] = ()
    ssh: Ssh | None = None
    managers: tuple[str, ...] = ()
    networks: tuple[DockerNetwork, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    published: tuple[str, ...] = ()
    logs: tuple[Log, ...] = ()

    @property
    def there(self) -> bool:
        """Return True if anything of the firewall is on the node."""
        return bool(self.files) or self.enabled or self.pending or self.now is not None

    @property
    def in_force(self) -> bool:
        """Return True if the kernel has the table, unchanged since it was loaded."""
        return self.now is not None and self.now == self.as_loaded

    @property
    def is_other_file(self) -> bool:
        """Return True if the rules that were loaded last are not those of the file on the node."""
        rules = next(
            (file for path, file in self.files.items() if path.endswith("/rules.nft")), None
        )
        return rules is None or rules.sha256 != self.loaded_from


def read(lines: Sequence[str]) -> EgressState:
    """
    Parse the output of ``state.sh`` and ``docker_state.sh``: a kind and a value per line.

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
        follower=one.get("follower"),
        unfiltered=tuple(told.get("unfiltered", ())),
        uplinks=tuple(dict.fromkeys(told.get("uplink", ()))),
        gateways=tuple(dict.fromkeys(map(_gateway, told.get("gateway", ())))),
        bridges=tuple(told.get("bridge", ())),
        ports=dict(_pair(line) for line in told.get("port", ())),
        resolvers=tuple(dict.fromkeys(told.get("resolver", ()))),
        ssh=_ssh(one.get("ssh")),
        managers=tuple(told.get("manager", ())),
        networks=tuple(_network(line) for line in told.get("network", ())),
        subnets=tuple(_subnet(line) for line in told.get("subnet", ())),
        published=tuple(sorted(set(told.get("published", ())))),
        logs=tuple(map(_log, told.get("log", ()))),
    )


def _text(encoded: str) -> str:
    """Decode a file. Bytes that are not UTF-8 are replaced: such a file is not as declared."""
    return base64.b64decode(encoded, validate=True).decode(errors="replace")


def _log(line: str) -> Log:
    driver, address, at, container = line.split(" ", 3)
    address, at = ("" if text == "-" else text for text in (address, at))
    own, at = at.startswith("="), at.removeprefix("=")
    return Log(container=container, driver=driver, address=address, at=at, is_own=own)


def _ssh(line: str | None) -> Ssh | None:
    if line is None:
        return None
    client, port, interface = line.split(" ", 2)
    return Ssh(client=client, port=int(port), interface=interface)


def _pair(line: str) -> tuple[str, str]:
    bridge, port = line.split(" ")
    return bridge, port


def _gateway(digits: str) -> str:
    """Return an address of the kernel's tables. The nodes are little-endian: x86_64 and aarch64."""
    value = bytes.fromhex(digits)
    return str(ip_address(value if len(value) == IPV6_LENGTH_BYTES else value[::-1]))


def _subnet(line: str) -> Subnet:
    """Parse ``driver subnet name``. Names may contain spaces."""
    driver, subnet, name = line.split(" ", 2)
    return Subnet(name=name, driver=driver, subnet=subnet)


def _network(line: str) -> DockerNetwork:
    """Parse ``driver bridge name``, ``-`` for no bridge. Names may contain spaces."""
    driver, bridge, name = line.split(" ", 2)
    return DockerNetwork(name=name, driver=driver, bridge="" if bridge == "-" else bridge)
