"""A node's firewall as it was found, before and behind a plan, and what the node tells of it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pyinfra_gvisor.base.node_files import FoundFile
from pyinfra_gvisor.base.scripts import encoded
from pyinfra_gvisor.parts.egress.dockerd import Dockerd
from pyinfra_gvisor.parts.egress.files import RULES
from pyinfra_gvisor.parts.egress.host_network import surroundings
from pyinfra_gvisor.parts.egress.plan import plan_egress
from pyinfra_gvisor.parts.egress.rules import rules_text
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import DockerNetwork, EgressState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.settings import Settings, load_settings

DOCKERD = Dockerd(is_told_apart=True, proxied=True)
"""As it is installed, on a kernel of today."""
KERNELS = hashlib.sha256(b"the table as nft lists it").hexdigest()
NETWORKS = (
    DockerNetwork(name="bridge", driver="bridge", bridge="docker0"),
    DockerNetwork(name="host", driver="host"),
    DockerNetwork(name="none", driver="null"),
)


def egress(**settings: Any) -> Egress:
    """The settings, checked as those of an inventory are."""
    return Egress.model_validate(settings)


def declaring(firewall: Egress | None) -> Settings:
    """The settings of a host with this firewall, and nothing else."""
    return Settings().model_copy(update={"egress": firewall})


def problem(value: Any) -> str:
    """What is said about a ``gvisor_egress`` that must be bad."""
    settings, problems = load_settings({"gvisor_egress": value})
    assert settings is None
    assert list(problems) == ["gvisor_egress"]
    return problems["gvisor_egress"]


def allowed(to: str, **more: Any) -> dict[str, Any]:
    """Settings with one allowed destination."""
    return {"allow": [{"to": to, **more}]}


def found(**changes: Any) -> EgressState:
    """A node with Docker and nftables that never had a firewall of ours."""
    plain = {"nft": True, "uplinks": ("eth0",), "bridges": ("docker0",), "networks": NETWORKS}
    return EgressState(**{**plain, "resolvers": ("192.0.2.53",), **changes})


def text_of(node: EgressState | None = None, /, **settings: Any) -> str:
    """The rules for a node."""
    wanted = egress(**settings)
    return rules_text(wanted, surroundings(node or found(), wanted, DOCKERD))


def planned(node: EgressState, settings: Mapping[str, Any] | None, **more: Any) -> PartPlan:
    """The plan for a node with systemd and such a dockerd; None: no firewall is wanted."""
    wanted = None if settings is None else egress(**settings)
    init = more.pop("init", "systemd")
    return plan_egress(node, wanted, init=init, dockerd=replace(DOCKERD, **more))


def behind(plan: PartPlan, **changes: Any) -> EgressState:
    """The node on which a plan was carried out and confirmed."""
    files = {
        item.path: FoundFile(sha256=item.sha256, mode=item.mode, owner="0:0") for item in plan.files
    }
    rules = {"rules": plan.texts[RULES][1], "loaded_from": files[RULES].sha256}
    loaded = {"enabled": True, "unit": "active", "now": KERNELS, "as_loaded": KERNELS}
    return found(**{**rules, **loaded, "files": files, **changes})


def told(node: EgressState) -> list[str]:
    """The lines that ``node_state.sh`` prints for it."""
    return [f"egress {line}" for line in _told(node)]


def _told(node: EgressState) -> Iterator[str]:
    for kind in ("nft", "enabled", "pending"):
        if getattr(node, kind):
            yield f"{kind} yes"
    for path, file in node.files.items():
        yield f"sum {file.sha256} {path}"
        yield f"stat {file.mode}:{file.owner} {path}"
    one = {
        "rules": None if node.rules is None else encoded(node.rules),
        "unit": node.unit,
        "now": node.now,
        "loaded": node.as_loaded and f"{node.as_loaded} {node.loaded_from}",
        "ssh": node.ssh and f"{node.ssh.client} {node.ssh.port} {node.ssh.interface}",
    }
    yield from (f"{kind} {value}" for kind, value in one.items() if value is not None)
    for kind in ("uplink", "bridge", "resolver", "manager"):
        yield from (f"{kind} {value}" for value in getattr(node, f"{kind}s"))
    yield from (f"port {bridge} {port}" for bridge, port in node.ports.items())
    for item in node.networks:
        yield f"network {item.driver} {item.bridge or '-'} {item.name}"
    yield from (f"published {port}" for port in node.published)
