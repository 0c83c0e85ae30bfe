"""``python -m pyinfra_gvisor.lab up | status | down | remove-everything``"""

from __future__ import annotations

import argparse
import os
import sys

from pyinfra_gvisor.lab import FLAVOURS, Lab, LabError, lab_name, node_specs, tell_on_stderr

_EPILOG = (
    "GVISOR_LAB_NAME, GVISOR_LAB_NODES and GVISOR_LAB_FLAVOURS say which nodes. Node 2 is one "
    "that others have used before. Flavours: " + ", ".join(FLAVOURS) + "."
)


def main() -> int:
    """Do one thing with the lab; 0 if that went well."""
    parser = argparse.ArgumentParser(
        prog="python -m pyinfra_gvisor.lab", description=__doc__, epilog=_EPILOG
    )
    parser.add_argument("action", choices=["up", "status", "down", "remove-everything"])
    try:
        _act(parser.parse_args().action)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _act(action: str) -> None:
    name, specs = lab_name(os.environ), node_specs(os.environ)
    lab = Lab(name)
    if action == "up":
        lab.up(specs)
    elif action == "down":
        lab.down()
    elif action == "remove-everything":
        lab.remove_everything()
    for line in lab.describe():
        tell_on_stderr(line)


sys.exit(main())
