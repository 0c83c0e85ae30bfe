"""The ``gvisor_egress`` key: which destinations containers may reach."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.judge.networks import LOCAL
from pyinfra_gvisor.judge.networks import METADATA as _METADATA
from pyinfra_gvisor.policy.selectors import Reason

Network = IPv4Network | IPv6Network
Block = Literal["metadata", "private", "node", "smtp"]

PRIVATE: dict[str, str] = {
    **LOCAL,
    "64:ff9b:1::/48": "IPv4 through a local NAT64, RFC 8215",
}

# The prefix by which NAT64 maps an IPv4 address to IPv6: RFC 6052. Section 3.1 forbids that for
# private addresses, but some clouds do it:
# https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-nat64-dns64.html
TRANSLATED = IPv6Network("64:ff9b::/96")
# An IPv4 address where a program needs an IPv6 one. No packet carries it: RFC 4291, 2.5.5.2
MAPPED = IPv6Network("::ffff:0:0/96")

PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp))?")
# Interface names that the kernel accepts (dev_valid_name), optionally with "*" at the end.
INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}\*?")
LOOPBACK = ("lo", "lo*", "l*")
# A host name (RFC 1123) that no resolver takes for an address: its last label is not a number.
HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
LAST_PORT = 65535
COMPOSE_PROJECT = "com.docker.compose.project"
# No blank and no quote: they go into a script. Docker's names: RestrictedNameChars of moby.
Name = StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
Label = StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,128}=[A-Za-z0-9._/:@+-]{1,128}$")


def network(text: str) -> Network:
    """Parse an address or a network. Raises ``Problem`` if it is neither or cannot be in a rule."""
    try:
        found = ip_network(text)
    except ValueError as error:
        todo = "write an address or a network with all host bits zero, such as 10.1.2.0/24"
        raise Problem(f"not an address or a network ({error})", got=text, todo=todo) from None
    if "%" in text:  # Python accepts any text after "%", and it would become a part of the rules.
        raise Problem("the address has a scope", got=text, todo="remove % and the text after it")
    if isinstance(found, IPv6Network) and found.subnet_of(MAPPED):
        todo = "write it as an IPv4 address"
        raise Problem("no packet carries an IPv4-mapped IPv6 address", got=text, todo=todo)
    return found


def translated(texts: Iterable[str]) -> dict[str, str]:
    """Return the NAT64 form (RFC 6052) of each IPv4 network among these, mapped to its text."""
    found = {text: network(text) for text in texts}
    return {
        f"{TRANSLATED[int(item.network_address)]}/{TRANSLATED.prefixlen + item.prefixlen}": text
        for text, item in found.items()
        if isinstance(item, IPv4Network)
    }


def port_range(text: str) -> tuple[int, int, str]:
    """
    Parse ``443``, ``53/udp`` or ``8000-8010/tcp`` into first port, last port and protocol.

    Raises ``Problem`` if it is none of these.
    """
    found = PORT.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if found is None or not 1 <= first <= last <= LAST_PORT:
        todo = "write 443, 53/udp or 8000-8010/tcp"
        raise Problem("not a port or a range of ports", got=text, todo=todo)
    return first, last, found[3] or "tcp"


METADATA: dict[str, str] = {
    **_METADATA,
    **{text: f"{found} through NAT64" for text, found in translated(_METADATA).items()},
}
PRIVATE |= {text: f"{found} through NAT64" for text, found in translated(PRIVATE).items()}


class Allowed(Strict):
    """A destination that may be reached although `block` or `deny` covers it."""

    to: str = Field(
        description="An address, a network or a name, such as `10.0.0.5`, `10.1.2.0/24` or "
        "`db.example.com`."
    )
    ports: tuple[str, ...] = Field(
        (), description="Ports such as `5432`, `53/udp` or `8000-8010/tcp`. `[]`: all ports."
    )
    reason: Reason | None = Field(
        None, description="Why. Required if the destination includes a metadata service."
    )

    @property
    def network(self) -> Network | None:
        """Return the addresses; None if ``to`` is a name."""
        return None if HOST_NAME.fullmatch(self.to) else network(self.to)

    @field_validator("to")
    @classmethod
    def _to(cls, value: str) -> str:
        name = value.lower().removesuffix(".")
        return name if HOST_NAME.fullmatch(name) else str(network(value))

    @field_validator("ports")
    @classmethod
    def _ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            port_range(text)
        return value

    @model_validator(mode="after")
    def _reasoned(self) -> Allowed:
        opened = metadata_in(self)
        if opened and not self.reason:
            what = f"would allow a metadata service to be reached ({METADATA[opened[0]]})"
            todo = "allow a smaller network, or give a reason of at least 10 characters"
            raise Problem(what, got=self.to, todo=todo)
        return self


class App(Strict):
    """What the containers on an app's own networks may reach besides `allow`."""

    project: Annotated[str, Name] | None = Field(
        None, description="The project of compose that made the networks."
    )
    network: Annotated[str, Name] | None = Field(None, description="The name of a network.")
    label: Annotated[str, Label] | None = Field(
        None, description="A label of the networks, as `key=value`."
    )
    allow: tuple[Allowed, ...] = Field(description="Destinations, each as in `allow`.")

    @property
    def selector(self) -> str:
        """Return what finds the networks, as a filter of ``docker network ls``."""
        if self.network:
            return f"name={self.network}"
        return f"label={self.label or f'{COMPOSE_PROJECT}={self.project}'}"

    @model_validator(mode="after")
    def _one(self) -> App:
        given = [key for key in ("project", "network", "label") if getattr(self, key)]
        if len(given) != 1:
            todo = "write one of project, network and label"
            raise Problem("not clear which networks are meant", got=" and ".join(given), todo=todo)
        return self


class Egress(Strict):
    """
    The firewall of a node: what its containers may reach.

    Containers always reach each other and the open internet.
    """

    mode: Literal["enforce", "report"] = Field(
        "enforce",
        description="`report`: nothing is blocked, only counted, and listed by `pyinfra-gvisor "
        "egress` for seven days.",
    )
    block: tuple[Block, ...] = Field(
        ("metadata", "private", "node", "smtp"),
        description="What is blocked: metadata services, private networks other than the "
        "containers' own, services of the node, SMTP.",
    )
    allow: tuple[Allowed, ...] = Field(
        (),
        description='Exceptions, each `{"to": "10.0.0.5", "ports": ["5432", "53/udp", '
        '"8000-8010"]}`; without `ports`, all. `allow` wins over `block` and `deny`. A metadata '
        "service needs a `reason`. A name stands for its addresses of the last ten minutes, but "
        "opens no metadata service and nothing in `deny`.",
    )
    deny: tuple[str, ...] = Field((), description="More addresses and networks to block.")
    docker: Annotated[bool, Field(strict=True)] = Field(
        True,
        description="Whether the rules hold for Docker itself: dockerd, containerd, BuildKit.",
    )
    docker_allow: tuple[Allowed, ...] = Field(
        (),
        description="Destinations that Docker itself may also reach, such as a private registry. "
        "Those in dockerd's configuration are allowed anyway: docs/egress.md.",
    )
    apps: tuple[App, ...] = Field(
        (),
        description='Destinations of one app, each `{"project": "shop", "allow": [...]}`, or '
        "with `network` or `label` for `project`. The bridge that a container sends through "
        "decides.",
    )
    node_ports: tuple[str, ...] = Field(
        (),
        description="Ports of the node that containers may reach, such as `5432` or `8125/udp`.",
    )
    smtp_ports: tuple[Annotated[int, Field(ge=1, le=LAST_PORT, strict=True)], ...] = Field(
        (25,), description="The ports that `smtp` blocks."
    )
    dns: tuple[str, ...] | None = Field(
        None,
        description="Resolvers that containers may query on port 53, also at blocked addresses. "
        "`None`: those that Docker gives to containers.",
    )
    new_connections_per_s: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = Field(
        200,
        description="New connections per second of one container to the outside; bursts of twice "
        "as many. `None`: no limit.",
    )
    log_per_minute: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = Field(
        10,
        description="Lines per minute in the kernel log for each kind of blocked traffic. `None`: "
        "none.",
    )
    interfaces: tuple[str, ...] = Field(
        (),
        description="Interfaces of containers that are no bridges, such as `cali*`. Which bridges "
        "count: docs/egress.md.",
    )
    exclude: tuple[str, ...] = Field(
        (),
        description="Interfaces that are not filtered, such as `virbr*`. Wins over `interfaces`.",
    )
    confirm_s: Annotated[int, Field(ge=5, le=600, strict=True)] = Field(
        30,
        description="Seconds until the node rolls back new rules, unless the controller confirms "
        "them over a new SSH connection.",
    )
    force: Reason | None = Field(
        None,
        description="Why to try rules that would be refused. Without a confirmation the node rolls "
        "back.",
    )

    @property
    def exceptions(self) -> tuple[Allowed, ...]:
        """Return all destinations that are allowed to somebody."""
        return (*self.allow, *self.docker_allow, *(to for app in self.apps for to in app.allow))

    @property
    def only_reports(self) -> bool:
        """Return True if nothing is blocked."""
        return self.mode == "report"

    @field_validator("block")
    @classmethod
    def _block(cls, value: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("deny")
    @classmethod
    def _deny(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(network(text)) for text in value)

    @field_validator("node_ports")
    @classmethod
    def _node_ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            port_range(text)
        return value

    @field_validator("dns")
    @classmethod
    def _dns(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for text in value or ():
            if "/" in text:
                todo = "write the address of one resolver"
                raise Problem("a network instead of an address", got=text, todo=todo)
        return value and tuple(str(network(text).network_address) for text in value)

    @field_validator("interfaces", "exclude")
    @classmethod
    def _interfaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not INTERFACE.fullmatch(name) or name.startswith("-"):
                todo = "write a name such as virbr0, or a prefix and * such as cali*"
                raise Problem("not the name of an interface", got=name, todo=todo)
            if name in LOOPBACK:
                todo = "remove it: only the node's own programs use the loopback interface"
                raise Problem("includes the loopback interface", got=name, todo=todo)
        return value

    @model_validator(mode="after")
    def _either(self) -> Egress:
        selectors = [app.selector for app in self.apps]
        if twice := [text for text in selectors if selectors.count(text) > 1]:
            todo = "give it one list"
            raise Problem("an app is named twice in apps", got=twice[0], todo=todo)
        if both := sorted({*self.interfaces} & {*self.exclude}):
            todo = "remove it from one of the two"
            raise Problem("the interface is in interfaces and in exclude", got=both[0], todo=todo)
        return self


class EgressSettings(Strict):
    """The one key of the firewall."""

    egress: Egress | None = Field(
        None,
        description="The egress firewall: docs/egress.md. `{}`: containers reach each other, the "
        "internet and DNS, but no metadata service, private network, service of the node or SMTP "
        "port. `None`: none.",
    )


SETTINGS = EgressSettings


def metadata_in(item: Allowed) -> list[str]:
    """Return the metadata services that a destination includes."""
    to = item.network
    return [] if to is None else [text for text in METADATA if overlap(to, network(text))]


def overlap(one: Network, other: Network) -> bool:
    """Return True if the networks share an address; False if one is IPv4 and the other IPv6."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False
