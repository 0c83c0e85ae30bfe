"""The firewall's files on a node: the rules, the scripts that load and revert them, the unit."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import NodeFile, unit_text
from pyinfra_gvisor.base.scripts import script
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
    """Return all files that stay on the node: the rules, and what loads them at every boot."""
    return (
        NodeFile(RULES, "644", rules),
        NodeFile(LOAD, "755", _script("parts/egress/load")),
        NodeFile(REVERT, "755", _script("parts/egress/revert")),
        NodeFile(SERVICE, "644", service_text()),
    )


def _script(name: str) -> str:
    return f"#!/bin/sh\n{script(name)}"


def service_text() -> str:
    """
    Return the unit that loads the rules before the network is up, and so before Docker.

    Debian's ``nftables.service`` flushes every table, ours too, when it is started or reloaded. So
    our unit is started and reloaded after it: systemd.unit(5).
    """
    return unit_text(
        "[Unit]",
        "Description=Egress firewall of pyinfra-gvisor: what containers may reach",
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
        "StartLimitIntervalSec=0",  # Each restart of nftables.service also restarts ours.
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStart=/bin/sh {LOAD} {RULES}",
        f"ExecReload=/bin/sh {LOAD} {RULES}",
        # It may be gone already: another program has flushed all rules.
        f"ExecStop=-{NFT} delete table {TABLE}",
        "[Install]",
        "WantedBy=sysinit.target",
    )
