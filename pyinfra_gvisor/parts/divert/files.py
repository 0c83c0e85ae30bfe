"""The files of this part on a node: the program, where it belongs, the repair and its unit."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra_gvisor.base.node_files import NodeFile, unit_text
from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.shared_lists import LINKS
from pyinfra_gvisor.dispatch.programs import ASIDE, MARK, runc_text

DIRECTORY = "/opt/gvisor/divert"
PROGRAM = f"{DIRECTORY}/program"
PLACES = f"{DIRECTORY}/places"
REPAIR = f"{DIRECTORY}/repair"
NAME = "pyinfra-gvisor-divert.service"
UNIT = f"/etc/systemd/system/{NAME}"
VARIABLES = {"divert_dir": DIRECTORY, "aside": ASIDE, "mark": MARK}  # of places.sh
CHANGING = {**VARIABLES, "unit": NAME, "links": LINKS}  # of apply.sh and remove.sh

_REPAIR = ("parts/divert/places", "parts/divert/repair")


def divert_files(
    places: Sequence[str], dispatcher: str, *, retired: bool, dockerd: str
) -> tuple[NodeFile, ...]:
    """
    Return the files.

    + places: the paths of runc, in the order in which dockerd finds them
    + dispatcher: path of the default runtime's wrapper
    + retired: nothing new goes into a sandbox
    + dockerd: the unit of dockerd
    """
    program = NodeFile(PROGRAM, "755", runc_text(PLACES, dispatcher, retired=retired))
    return (
        program,
        NodeFile(PLACES, "644", "".join(f"{place}\n" for place in places)),
        NodeFile(REPAIR, "755", repair_text(program.sha256)),
        NodeFile(UNIT, "644", service_text(dockerd)),
    )


def repair_text(program_sha256: str) -> str:
    """Return the script that gives our program the place of runc, and keeps that so."""
    return f"#!/bin/sh\n{script(*_REPAIR, **VARIABLES, program_sha256=program_sha256)}"


def service_text(dockerd: str) -> str:
    """
    Return the unit that repairs before each start of dockerd: systemd.service(5).

    dockerd does not start without a runc that answers. dockerd starts even if the repair fails:
    then no container may start, but those that run stay reachable.
    """
    return unit_text(
        "[Unit]",
        "Description=Give the place of runc to the program of pyinfra-gvisor",
        f"Before={dockerd} containerd.service",
        f"RequiresMountsFor={DIRECTORY}",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={REPAIR}",
        "TimeoutStartSec=60",
        "[Install]",
        f"WantedBy={dockerd}",
    )
