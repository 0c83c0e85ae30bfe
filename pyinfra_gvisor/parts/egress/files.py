"""The firewall's files on a node: the rules, the scripts that load and revert them, the units."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import UNITS, NodeFile, drop_in, unit_text
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.egress.dockerd import Dockerd
from pyinfra_gvisor.parts.egress.rules import TABLE, holds_for_docker, is_followed

DIRECTORY = "/opt/gvisor/egress"
RULES = f"{DIRECTORY}/rules.nft"
CANDIDATE = f"{DIRECTORY}/candidate.nft"
LOAD = f"{DIRECTORY}/load.sh"
MEMBERS = f"{DIRECTORY}/members.sh"
REVERT = f"{DIRECTORY}/revert.sh"
NAME = "pyinfra-gvisor-egress"
SERVICE = f"{UNITS}/{NAME}.service"
FOLLOWER_NAME = f"{NAME}-members"
FOLLOWER = f"{UNITS}/{FOLLOWER_NAME}.service"
NFT = "/usr/sbin/nft"


def kept_files(rules: str, dockerd: Dockerd) -> tuple[NodeFile, ...]:
    """Return all files that stay on the node: the rules, and what loads them at every boot."""
    started = dockerd.units if holds_for_docker(rules) else ()
    return (
        NodeFile(RULES, "644", rules),
        NodeFile(MEMBERS, "755", _script("parts/egress/members")),
        NodeFile(LOAD, "755", _script("parts/egress/load")),
        NodeFile(REVERT, "755", _script("parts/egress/revert")),
        NodeFile(SERVICE, "644", service_text()),
        *(NodeFile(drop_in(unit, NAME), "644", drop_in_text()) for unit in started),
        *((NodeFile(FOLLOWER, "644", follower_text()),) if is_followed(rules) else ()),
    )


def _script(name: str) -> str:
    return f"#!/bin/sh\n{script(name)}"


def drop_in_text() -> str:
    """
    Return the addition to a unit of Docker's: at each start it has a new control group.

    The group exists before the program runs. If the rules cannot be given it, the program starts
    nevertheless, and the keeper gives it to them within a minute. dockerd starts containers before
    it is ready, and asks their log servers, so names come before it, too.
    """
    return unit_text("[Service]", f"ExecStartPre=-/bin/sh {MEMBERS} {RULES} groups names")


def follower_text() -> str:
    """
    Return the unit that tells the rules the addresses of names and the bridges of apps.

    It only asks dockerd while that runs, and does not depend on it: names are also for others.
    """
    return unit_text(
        "[Unit]",
        "Description=Names and apps of the egress firewall of pyinfra-gvisor",
        f"After={NAME}.service",
        "StartLimitIntervalSec=0",
        "[Service]",
        f"ExecStart=/bin/sh {MEMBERS} {RULES} follow",
        "Restart=always",
        "RestartSec=1",
        "[Install]",
        "WantedBy=multi-user.target",
    )


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
        "Before=network-pre.target docker.service containerd.service shutdown.target",
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
