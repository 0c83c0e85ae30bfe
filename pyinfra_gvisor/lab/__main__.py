"""``python -m pyinfra_gvisor.lab up | status | down | …``: see ``--help``."""

from __future__ import annotations

import argparse
import os
import sys

from pyinfra_gvisor.lab import (
    FLAVOURS,
    Lab,
    LabError,
    engine,
    lab_arch,
    lab_name,
    node_specs,
    parts,
    runsc,
)
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.fleet import connect, tell_on_stderr
from pyinfra_gvisor.lab.spec import OWN_ARCH

_EPILOG = (
    "GVISOR_LAB_NAME, GVISOR_LAB_NODES and GVISOR_LAB_FLAVOURS say which nodes. Node 2 is one "
    "that others have used before, unless its architecture is emulated. Flavours: "
    + ", ".join(FLAVOURS)
    + ". GVISOR_LAB_RUNSC: "
    "build, debian, or the path of an official gvisor.tar.bz2. GVISOR_LAB_KIND: container or vm. "
    "GVISOR_LAB_ARCH: x86_64 or aarch64, of virtual machines."
)

_ACTIONS = ("up", "status", "down", "remove-everything", "try", "engine", "parts", "cache")
_CANNOT = 3
"""What ``try`` ends with where this machine's Docker starts no privileged container."""


def main() -> int:
    """Do one thing with the lab; 0 if that went well."""
    parser = argparse.ArgumentParser(
        prog="python -m pyinfra_gvisor.lab", description=__doc__, epilog=_EPILOG
    )
    parser.add_argument("action", choices=_ACTIONS)
    try:
        return _act(parser.parse_args().action)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _act(action: str) -> int:
    if action == "try":
        return _try()
    if action == "cache":
        sys.stdout.write(f"{Cache.of(os.environ).root}\n")
        return 0
    if action in {"engine", "parts"}:
        for part in parts.PARTS if action == "parts" else (parts.DOCKER,):
            arch = lab_arch(os.environ) if part is parts.GVISOR else OWN_ARCH
            home = parts.take(part, arch=arch, cache=Cache.of(os.environ), tell=tell_on_stderr)
            sys.stdout.write(f"{home}\n")
        return 0
    name = lab_name(os.environ)
    lab = Lab(name)
    if action == "up":
        specs = node_specs(os.environ)
        nodes_get = runsc.chosen(os.environ, lab=name, cache=lab.cache, tell=tell_on_stderr)
        tell_on_stderr(f"runsc of the nodes: {nodes_get.release}, {nodes_get.what}")
        lab.up(specs)
    elif action == "down":
        lab.down()
    elif action == "remove-everything":
        lab.remove_everything()
    for line in lab.describe():
        tell_on_stderr(line)
    return 0


def _try() -> int:
    client = connect()
    if (why := engine.why_it_cannot(client)) is None:
        return 0
    version = client.version()["Version"]
    tell_on_stderr(f"Docker {version} on this machine starts no privileged container: {why}")
    return _CANNOT


sys.exit(main())
