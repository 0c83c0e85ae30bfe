"""Audit Docker's networks: which addresses they take, and which pass the firewall by."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.audit.rules import Audited, Observation, Rule
from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.daemon_json.effective import value_in_force
from pyinfra_gvisor.judge.networks import LOCAL, PAST_BRIDGES, wrong_addresses
from pyinfra_gvisor.parts.egress.observed import listed
from pyinfra_gvisor.parts.egress.settings import METADATA, EgressSettings
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.policy.findings import Severity

# With these drivers the node gets no route: https://docs.docker.com/engine/network/drivers/
ROUTELESS = (*PAST_BRIDGES, "overlay", "host", "null")
DEFAULT_NETWORK = "bridge"  # only daemon.json says which addresses that one has
SHOWN = 3  # reasons for a subnet


def _past_firewall(host: Audited) -> Iterator[Observation]:
    declared = host.settings.part(EgressSettings).egress is not None
    for item in host.node.part(EgressState).networks:
        if item.driver in PAST_BRIDGES:
            evidence = f"its driver is {item.driver}"
            severity = None if declared else Severity.MEDIUM
            yield Observation(f"network {cut(item.name)}", evidence, severity)


def _takes_addresses(host: Audited) -> Iterator[Observation]:
    found = host.node.part(EgressState)
    reserved = {
        **METADATA,
        **dict.fromkeys(found.resolvers, "a resolver of the node"),
        **dict.fromkeys(found.gateways, "a default gateway of the node"),
    }
    own = (*LOCAL, *_pools(host))
    for item in found.subnets:
        if item.driver in ROUTELESS or item.name == DEFAULT_NETWORK:
            continue
        if why := list(wrong_addresses(item.subnet, reserved, own)):
            yield Observation(f"network {cut(item.name)}", f"{item.subnet} {listed(why, SHOWN)}")


def _pools(host: Audited) -> list[str]:
    """Return the addresses that the operator gives to Docker's networks."""
    pools = value_in_force(host.node, "default-address-pools")
    items = pools if isinstance(pools, list) else []
    return [str(item.get("base")) for item in items if isinstance(item, dict)]


NETWORK_RULES: tuple[Rule[Audited], ...] = (
    Rule(
        "network-takes-addresses",
        Severity.HIGH,
        "Addresses of this Docker network belong to others, so traffic of the node to these "
        "addresses can reach a container instead",
        "Remove the network (docker network rm) and find out who created it. Create it again with "
        "a private subnet. If the addresses are yours, add them to default-address-pools in "
        "gvisor_daemon_json",
        _takes_addresses,
    ),
    Rule(
        "network-past-firewall",
        Severity.HIGH,
        "This Docker network connects containers directly to the node's own network, where the "
        "firewall does not filter their traffic",
        "Remove the network (docker network rm) and find out who created it. Move its containers "
        "to a network with driver bridge",
        _past_firewall,
    ),
)
