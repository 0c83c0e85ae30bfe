"""
Reports for Prometheus, read by the textfile collector of the node exporter.

The format is Prometheus' text-based exposition format 0.0.4:
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from pyinfra_gvisor.policy.findings import by_severity
from pyinfra_gvisor.report.document import EgressReport, FleetReport, HostReport, NodeReport

Sample = tuple[Mapping[str, str], int]


class Metric(NamedTuple):
    """A metric: its help text ``shows``, and its samples. One without samples is omitted."""

    name: str
    shows: str
    samples: list[Sample]
    kind: Literal["gauge", "counter"] = "gauge"


def textfile(report: HostReport) -> str:
    """Return the metrics of ``report``; times are in seconds since 1970, samples have none."""
    return _text(_metrics(report))


def fleet_textfile(report: FleetReport) -> str:
    """
    Return the metrics of a fleet, for the controller's exporter: it knows of lost hosts, too.

    A host that was not part of the run has the values and the time of its last report.
    """
    return _text(_of_fleet(report))


def _text(metrics: Iterator[Metric]) -> str:
    return "".join(_lines(metric) for metric in metrics if metric.samples)


def _of_fleet(report: FleetReport) -> Iterator[Metric]:
    hosts = [({"host": item.host}, item) for item in report.hosts]
    yield Metric(
        "gvisor_fleet_host_checked",
        "1 if the host's last check was made, 0 if it could not be, as for an unreachable host.",
        [(labels, int(item.error is None)) for labels, item in hosts],
    )
    yield Metric(
        "gvisor_fleet_host_compliant",
        "1 if the host's last check was made and no finding makes it fail, else 0.",
        [(labels, int(item.compliant)) for labels, item in hosts],
    )
    yield Metric(
        "gvisor_fleet_host_proof_holds",
        "1 if isolation is proven for the host's present state, 0 if not or if nothing is known.",
        [(labels, int(_is_proven(item))) for labels, item in hosts],
    )
    yield Metric(
        "gvisor_fleet_host_last_check_timestamp_seconds",
        "Time of the host's last check, also of one that could not be made.",
        [(labels, _seconds(item.at)) for labels, item in hosts],
    )
    yield Metric(
        "gvisor_fleet_last_run_timestamp_seconds",
        "Time of the last run that wrote the fleet's report.",
        [({}, _seconds(report.at))],
    )


def _is_proven(report: HostReport) -> bool:
    return report.node is not None and report.node.proof.holds


def _metrics(report: HostReport) -> Iterator[Metric]:
    yield Metric(
        "gvisor_node_compliant",
        "1 if the node was checked and no finding makes it fail, else 0.",
        [({}, int(report.compliant))],
    )
    yield Metric(
        "gvisor_findings",
        "Findings of the last audit by severity, without waived ones.",
        [
            ({"severity": severity}, count)
            for severity, count in by_severity(report.findings).items()
        ],
    )
    yield Metric(
        "gvisor_finding",
        "Findings of the last audit by rule and severity, without waived ones.",
        _findings(report),
    )
    yield Metric(
        "gvisor_containers",
        "Running containers by their runtime and whether they were seen in gVisor.",
        _containers(report),
    )
    if report.egress is not None and report.egress.declared:
        yield from _egress(report.egress)
    if report.node is not None:
        yield from _node(report.node)
    yield Metric(
        "gvisor_last_audit_timestamp_seconds",
        "Time of the last audit of the node.",
        [({}, _seconds(report.at))],
    )


def _findings(report: HostReport) -> list[Sample]:
    found = Counter((item.id, str(item.severity)) for item in report.findings if not item.waived)
    return [
        ({"id": rule, "severity": severity}, count)
        for (rule, severity), count in sorted(found.items())
    ]


def _node(node: NodeReport) -> Iterator[Metric]:
    """Yield what dockerd has in force, whatever is declared, and what is proven of it."""
    releases = sorted({item.release for item in node.runtimes if item.release})
    about = {"docker": node.docker or "", "kernel": node.kernel}
    yield Metric(
        "gvisor_release_info",
        "A runsc release that the running dockerd starts, with Docker and kernel; always 1.",
        [({"release": release, **about}, 1) for release in releases],
    )
    yield Metric(
        "gvisor_release_timestamp_seconds",
        "Date of a runsc release that the running dockerd starts.",
        [({"release": release}, day) for release in releases if (day := _day(release))],
    )
    yield Metric(
        "gvisor_proof_holds",
        "1 if isolation is proven for the node's present state, else 0.",
        [({}, int(node.proof.holds))],
    )
    yield Metric(
        "gvisor_last_proof_timestamp_seconds",
        "Time of the last successful proof of isolation; absent if none is known.",
        [({}, _seconds(node.proof.held_at))] if node.proof.held_at else [],
    )


_SANDBOXED: dict[str, str] = {"bare": "false", "sandboxed": "true", "unknown": "unknown"}


def _containers(report: HostReport) -> list[Sample]:
    """Return a sample for every pair of labels, also 0: a series must not end when all is well."""
    found = Counter((item.asked, str(item.verdict)) for item in report.containers)
    known = {item.name for item in report.node.runtimes} if report.node else set()
    return [
        (
            {"runtime": runtime, "sandboxed": value},
            found[runtime, verdict],
        )
        for runtime in sorted(known | {asked for asked, _ in found})
        for verdict, value in _SANDBOXED.items()
    ]


def _egress(egress: EgressReport) -> Iterator[Metric]:
    """Yield the firewall's metrics: each blocked packet counts, and each allowed connection."""
    yield Metric(
        "gvisor_egress_in_force",
        "1 if the firewall's rules are loaded and will be after a reboot, else 0.",
        [({}, int(egress.in_force))],
    )
    yield Metric(
        "gvisor_egress_blocks",
        "1 if they also block, 0 if they are not loaded or only report.",
        [({}, int(egress.blocks))],
    )
    yield Metric(
        "gvisor_egress_packets_total",
        "Packets of containers that the firewall blocked, or would have blocked, since its rules "
        "were loaded, by rule.",
        [*_counted(egress, "drop"), *_counted(egress, "would_drop")],
        "counter",
    )
    yield Metric(
        "gvisor_egress_connections_total",
        "New connections of containers that the firewall allowed since then, by rule.",
        _counted(egress, "accept"),
        "counter",
    )


def _counted(
    egress: EgressReport, verdict: Literal["accept", "drop", "would_drop"]
) -> list[Sample]:
    counts = egress.counted(verdict).items()
    return [({"verdict": verdict, "rule": rule}, count) for rule, count in counts]


def _day(release: str) -> int | None:
    """Return the date in a release's name, such as ``20260928.0``; None if it has none."""
    try:
        return int(datetime.strptime(release[:8], "%Y%m%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _seconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp())


def _lines(metric: Metric) -> str:
    head = f"# HELP {metric.name} {metric.shows}\n# TYPE {metric.name} {metric.kind}\n"
    return head + "".join(
        f"{metric.name}{_labels(labels)} {value}\n" for labels, value in metric.samples
    )


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
