"""The record of compatibility of a proven node, which a deploy writes on the controller."""

from __future__ import annotations

from pyinfra import logger
from pyinfra.api import Host

from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.compatibility.files import write_record
from pyinfra_gvisor.compatibility.record import Timings
from pyinfra_gvisor.compatibility.seen import record_of
from pyinfra_gvisor.facts.node import operations_run
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.run_support.reports import directory_of, run_took_s


def keep_record(host: Host, node: Audited, report: HostReport) -> bool:
    """
    Write the record if the node is proven, and return False if the file cannot be written.

    Says the path of the file, or why there is no record. A node whose facts are incomplete has no
    record, which is no failure.
    """
    directory = directory_of(host)
    proven = report.node is not None and report.node.proof.holds
    if directory is None or report.by != "deploy" or not proven:
        return True
    try:
        record = record_of(node, report, timings=_timings(host))
    except Problem as problem:
        host.log(f"no record of compatibility: {problem}")
        return True
    try:
        path = write_record(directory, host.name, record)
    except Problem as problem:
        host.log(f"audit.findings: on {host.name}: {problem}", logger.error)
        return False
    host.log(f"written: {path}")
    return True


def _timings(host: Host) -> Timings:
    """Return the durations of the run. The node's own record has the duration of the proof."""
    took_s = run_took_s(host)
    return Timings(
        proof_s=None,
        run_s=None if took_s is None else round(took_s, 1),
        hosts=sum(host.state.is_host_in_limit(item) for item in host.state.inventory),
        changes=operations_run(host),
    )
