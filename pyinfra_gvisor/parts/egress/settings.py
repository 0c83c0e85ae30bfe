"""The ``gvisor_egress`` key: what containers may reach, beside each other and the open internet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.policy.selectors import Reason

Network = IPv4Network | IPv6Network
Block = Literal["metadata", "private", "node", "smtp"]

# Where clouds answer who asks for a node's identity and credentials.
LINK_LOCAL = "fe80::/10"
METADATA: dict[str, str] = {
    # RFC 3927; AWS, Azure, Google, Hetzner, DigitalOcean, OpenStack and others answer at .169.254
    "169.254.0.0/16": "link-local, with the metadata services at 169.254.169.254",
    # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16/32": "Azure's WireServer",
    # https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
    "100.100.100.200/32": "Alibaba Cloud",
    # RFC 6890: addresses of protocols, never on the open internet; some clouds have answered there
    "192.0.0.0/24": "special addresses of RFC 6890",
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    "fd00:ec2::254/128": "AWS",
    # https://cloud.google.com/compute/docs/metadata/querying-metadata
    "fd20:ce::254/128": "Google Cloud",
    LINK_LOCAL: "link-local, RFC 4291",
}
PRIVATE: dict[str, str] = {
    "10.0.0.0/8": "private networks, RFC 1918",
    "172.16.0.0/12": "private networks, RFC 1918",
    "192.168.0.0/16": "private networks, RFC 1918",
    "100.64.0.0/10": "addresses that carriers and VPNs share, RFC 6598",
    "fc00::/7": "private networks, RFC 4193",
    "64:ff9b:1::/48": "IPv4 behind a NAT64 of one's own, RFC 8215",
}

# What a translator (NAT64) makes IPv6 of an IPv4 address with: RFC 6052. That it must not do so
# with private ones (section 3.1) is not kept everywhere:
# https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-nat64-dns64.html
TRANSLATED = IPv6Network("64:ff9b::/96")
# An IPv4 address where a program wants an IPv6 one, which no packet has: RFC 4291, 2.5.5.2
MAPPED = IPv6Network("::ffff:0:0/96")

PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp))?")
# What the kernel takes for the name of an interface (dev_valid_name), and one "*" at the end.
INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}\*?")
LOOPBACK = ("lo", "lo*", "l*")
LAST_PORT = 65535


def network(text: str) -> Network:
    """An address or a network. Raises ``Problem`` for what is neither, or cannot be in a rule."""
    try:
        found = ip_network(text)
    except ValueError as error:
        todo = "write an address or a network such as 10.1.2.0/24, without bits behind the mask"
        raise Problem(f"no network ({error})", got=text, todo=todo) from None
    if "%" in text:  # and behind it anything but "/", which would be a part of the rules
        raise Problem("an address with a scope", got=text, todo="leave out % and what follows")
    if isinstance(found, IPv6Network) and found.subnet_of(MAPPED):
        raise Problem("no packet is for such an address", got=text, todo="write it as IPv4")
    return found


def translated(texts: Iterable[str]) -> dict[str, str]:
    """The IPv4 ones of these networks, by what they are in IPv6 to a translator."""
    found = {text: network(text) for text in texts}
    return {
        f"{TRANSLATED[int(item.network_address)]}/{TRANSLATED.prefixlen + item.prefixlen}": text
        for text, item in found.items()
        if isinstance(item, IPv4Network)
    }


def port_range(text: str) -> tuple[int, int, str]:
    """The first and last port and the protocol of ``443``, ``53/udp`` or ``8000-8010/tcp``."""
    found = PORT.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if found is None or not 1 <= first <= last <= LAST_PORT:
        raise Problem("not ports", got=text, todo="write 443, 53/udp or 8000-8010/tcp")
    return first, last, found[3] or "tcp"


METADATA |= {text: f"{found} behind NAT64" for text, found in translated(METADATA).items()}
PRIVATE |= {text: f"{found} behind NAT64" for text, found in translated(PRIVATE).items()}


class Allowed(Strict):
    """A destination that containers may reach although it lies in what is blocked."""

    to: str = Field(description="An address or a network, such as `10.0.0.5` or `10.1.2.0/24`.")
    ports: tuple[str, ...] = Field(
        (), description="Ports such as `5432`, `53/udp` or `8000-8010/tcp`; `[]`: everything."
    )
    reason: Reason | None = Field(
        None, description="Why; asked for where a metadata service would be reached."
    )

    @field_validator("to")
    @classmethod
    def _to(cls, value: str) -> str:
        return str(network(value))

    @field_validator("ports")
    @classmethod
    def _ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            port_range(text)
        return value

    @model_validator(mode="after")
    def _reasoned(self) -> Allowed:
        to = network(self.to)
        opened = [text for text in METADATA if overlap(to, network(text))]
        if opened and not self.reason:
            todo = "narrow it, or give a reason of at least 10 characters"
            raise Problem(f"opens {METADATA[opened[0]]} to containers", got=self.to, todo=todo)
        return self


class Egress(Strict):
    """What containers of a node may reach. Their own networks and the open internet they may."""

    block: tuple[Block, ...] = Field(
        ("metadata", "private", "node", "smtp"),
        description="What is stopped: the clouds' metadata services, private networks beyond the "
        "containers' own, the node's own services, mail's port.",
    )
    allow: tuple[Allowed, ...] = Field(
        (),
        description='Destinations all the same, each `{"to": "10.0.0.5", "ports": ["5432", '
        '"53/udp", "8000-8010"]}`; without `ports` all of it. They come before everything that is '
        "stopped, `deny` too. What would open a metadata service needs a `reason`.",
    )
    deny: tuple[str, ...] = Field(
        (), description="Further addresses and networks that are stopped."
    )
    node_ports: tuple[str, ...] = Field(
        (),
        description="Ports of the node's own that containers may reach, such as `5432` or "
        "`8125/udp`.",
    )
    smtp_ports: tuple[Annotated[int, Field(ge=1, le=LAST_PORT, strict=True)], ...] = Field(
        (25,), description="The ports that `smtp` is about."
    )
    dns: tuple[str, ...] | None = Field(
        None,
        description="Resolvers that may be asked on port 53 wherever they are. `None`: those that "
        "Docker asks for containers, which are `dns` of daemon.json, or else those of the node's "
        "resolv.conf. So a provider's resolver in a private network, or at 169.254.169.254 as "
        "Google's, goes on to work, on port 53 alone.",
    )
    new_connections_per_s: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = Field(
        200,
        description="New connections a second that one container may open to outside, twice as "
        "many in a burst; `None`: no limit. Between containers there is none.",
    )
    log_per_minute: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = Field(
        10,
        description="Lines a minute in the kernel's log for each kind of what is stopped; `None`: "
        "none.",
    )
    interfaces: tuple[str, ...] = Field(
        (),
        description="Interfaces that connect containers and are no bridges, such as `cali*`. Every "
        "bridge connects containers anyway, unless it is named in `exclude`, carries the default "
        "route or has a port that leaves the node. May end in `*`.",
    )
    exclude: tuple[str, ...] = Field(
        (),
        description="Interfaces that are left alone, such as `virbr0` with virtual machines behind "
        "it. Comes before `interfaces`. May end in `*`.",
    )
    confirm_s: Annotated[int, Field(ge=5, le=600, strict=True)] = Field(
        30,
        description="Seconds that the controller has to come back over a new connection, before "
        "the node takes the rules back by itself.",
    )
    force: Reason | None = Field(
        None,
        description="Why rules are tried that are refused otherwise; they are still taken back "
        "unless the controller comes back.",
    )

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
                raise Problem("not an address", got=text, todo="write resolvers' addresses")
        return value and tuple(str(network(text).network_address) for text in value)

    @field_validator("interfaces", "exclude")
    @classmethod
    def _interfaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not INTERFACE.fullmatch(name) or name.startswith("-"):
                todo = "write a name such as virbr0, or its beginning and *"
                raise Problem("not an interface", got=name, todo=todo)
            if name in LOOPBACK:
                todo = "take it out: what comes by it are the node's own programs"
                raise Problem("the loopback interface", got=name, todo=todo)
        return value

    @model_validator(mode="after")
    def _either(self) -> Egress:
        if both := sorted({*self.interfaces} & {*self.exclude}):
            todo = "take it out of one of the two"
            raise Problem("in interfaces and in exclude", got=both[0], todo=todo)
        return self


class EgressSettings(Strict):
    """The firewall's one key."""

    egress: Egress | None = Field(
        None,
        description="What containers may reach: docs/egress.md. `{}`: the open internet and each "
        "other, but no metadata service, no private network, nothing of the node's own but DNS, "
        "no mail port. `None`: no firewall of this package's is on the node.",
    )


SETTINGS = EgressSettings


def overlap(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False
