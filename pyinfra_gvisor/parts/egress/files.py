"""What the firewall is made of on a node: rules, what loads and takes them back, systemd's unit."""

from __future__ import annotations

from importlib.resources import files

from pyinfra_gvisor import scripts
from pyinfra_gvisor.node_files import NodeFile, unit_text
from pyinfra_gvisor.parts.egress.rules import TABLE

DIRECTORY = "/opt/gvisor/egress"
RULES = f"{DIRECTORY}/rules.nft"
CANDIDATE = f"{DIRECTORY}/candidate.nft"
LOAD = f"{DIRECTORY}/load.sh"
REVERT = f"{DIRECTORY}/revert.sh"
NAME = "pyinfra-gvisor-egress"
SERVICE = f"/etc/systemd/system/{NAME}.service"
NFT = "/usr/sbin/nft"


def kept_files(rules: str) -> tuple[NodeFile, ...]:
    """All that stays on the node: the rules, and what loads them at every boot."""
    return (
        NodeFile(RULES, "644", rules),
        NodeFile(LOAD, "755", _script("egress_load")),
        NodeFile(REVERT, "755", _script("egress_revert")),
        NodeFile(SERVICE, "644", service_text()),
    )


def _script(name: str) -> str:
    return files(scripts).joinpath(f"{name}.sh").read_text(encoding="utf-8")


def service_text() -> str:
    """
    The unit that loads the rules before there is a network, and so before Docker.

    ``nftables.service`` of Debian's flushes every table when it is started or reloaded, ours with
    them, so that ours follows it: systemd.unit(5).
    """
    return unit_text(
        "[Unit]",
        "Description=What containers may reach, by rules of nftables",
        "Documentation=man:nft(8)",
        "DefaultDependencies=no",
        f"RequiresMountsFor={DIRECTORY}",
        "Wants=network-pre.target",
        "After=local-fs.target nftables.service",
        "Before=network-pre.target docker.service shutdown.target",
        "Conflicts=shutdown.target",
        "PartOf=nftables.service",
        "ReloadPropagatedFrom=nftables.service",
        f"ConditionPathExists={RULES}",
        "StartLimitIntervalSec=0",  # nftables.service may be restarted often, and takes ours along
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStart=/bin/sh {LOAD} {RULES}",
        f"ExecReload=/bin/sh {LOAD} {RULES}",
        f"ExecStop={NFT} delete table {TABLE}",
        "[Install]",
        "WantedBy=sysinit.target",
    )
