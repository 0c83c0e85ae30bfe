"""What a rollout has to know of the hosts of a fleet, without asking one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node.changes import package_version
from pyinfra_gvisor.rollout.plan import CANARY, VERSION

_FILES = ("config.py", "deploys/gvisor.py", "infrastructure.json")


class Fleet(NamedTuple):
    """
    The hosts of an inventory.

    + releases: the declared release of each host, in the inventory's order; empty without gVisor
    + settings: the hash of each host's settings
    + canary: hosts that every change reaches first
    """

    releases: Mapping[str, str]
    settings: Mapping[str, str]
    canary: tuple[str, ...]


def read_fleet(inventory: str, data: Sequence[str]) -> Fleet:
    """
    Return the hosts of the current directory's fleet.

    + inventory: the path of its file
    + data: pairs as of pyinfra's ``--data``

    Raises ``Problem`` if a run would refuse a host before it asks it.
    """
    words = ("-P", "-m", "pyinfra_gvisor.deploys.offline", inventory, "--json", *data)
    ran = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise Problem(ran.stdout.strip() or "the fleet cannot be read", todo="correct that first")
    hosts = json.loads(ran.stdout.splitlines()[-1])
    settings = {host["name"]: str(host["settings"]) for host in hosts}
    return Fleet(
        {host["name"]: str(host["release"]) for host in hosts},
        settings,
        tuple(host["name"] for host in hosts if CANARY in host["groups"]),
    )


def inputs() -> str:
    """Return the hash of what a run is made of beside the settings, which each host compares."""
    parts = [package_version(), str(VERSION)]
    texts = (Path(name).read_bytes() for name in _FILES if Path(name).is_file())
    parts += [sha256(text).hexdigest() for text in texts]
    return sha256("\n".join(parts).encode()).hexdigest()
