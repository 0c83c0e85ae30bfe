"""
What each node has of the platform's own containers and images. Changes nothing.

.. code:: shell

    pyinfra inventories/run.py deploys/infrastructure.py -y
"""

import json
import os
from pathlib import Path

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import fail, known, origin
from pyinfra_gvisor.dispatch.proposals import proposals
from pyinfra_gvisor.facts.asking import get
from pyinfra_gvisor.facts.images import Images
from pyinfra_gvisor.platforms.discovered import (
    FOUND_DIR,
    WANTED,
    HostFound,
    declared,
    lines,
    unused,
    write_found,
)

_KEY = "gvisor_infrastructure"


@deploy("Infrastructure")
def list_infrastructure() -> None:
    """Say which containers and images may be infrastructure, and which of them are accepted."""
    try:
        reads, entries = declared(host.data.get(_KEY))
    except ValueError as error:
        fail(host, f"{origin(host, _KEY)}: {_KEY}: {error}")
        return
    wanted = json.loads(os.environ.get(WANTED, "[]"))
    pulled = known(host, get(host, Images, wanted=wanted), "images and containers")
    if pulled is None:
        return
    if directory := os.environ.get(FOUND_DIR):
        number = [*host.inventory].index(host.inventory.get_host(host.name))
        default = str(host.data.get("gvisor_default") or "off")
        write_found(Path(directory), number, HostFound(host.name, reads, entries, pulled, default))
        return
    for line in (*lines(proposals(pulled), entries), *unused(entries, pulled)):
        host.log(line)


if not __name__.startswith("pyinfra_gvisor."):
    list_infrastructure()
