"""Hand a host's result to the command that began the run, which prints it."""

from __future__ import annotations

import os
from pathlib import Path

from pyinfra.api import Host

from pyinfra_gvisor.report.host_result import HostResult
from pyinfra_gvisor.report.results import write_result
from pyinfra_gvisor.report.summary import RESULT_DIR


def tell_result(host: Host, result: HostResult) -> None:
    """Hand over what was found on a host; log it if pyinfra was started by itself."""
    if directory := os.environ.get(RESULT_DIR):
        number = [*host.inventory].index(host.inventory.get_host(host.name))
        write_result(Path(directory), number, result)
        return
    kind = type(result)
    for line in (*result.lines, kind.to_copy([result]), *kind.closing([result])):
        if line:
            host.log(line)
