"""
A host's report for Prometheus, read by the textfile collector of the node exporter.

The format is Prometheus' text-based exposition format 0.0.4:
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from pyinfra_gvisor.policy.findings import by_severity
from pyinfra_gvisor.report.document import EgressReport, HostReport

Sample = tuple[Mapping[str, str], int]


class Metric(NamedTuple):
    """A metric: its help text ``shows``, and its samples. One without samples is omitted."""

    name: str
    shows: str
    samples: list[Sample]
    kind: Literal["gauge", "counter"] = "gauge"


def textfile(report: HostReport) -> str:
    """Return the metrics of ``report``; times are in seconds since 1970, samples have none."""
    return "".join(_lines(metric) for metric in _metrics(report) if metric.samples)


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
        "gvisor_containers",
        "Running containers by their runtime and whether they were seen in gVisor.",
        _containers(report),
    )
    if report.egress is not None and report.egress.declared:
        yield from _egress(report.egress)
    yield Metric(
        "gvisor_release_info",
        "Declared runsc release, Docker and kernel of the node; always 1.",
        _release(report),
    )
    yield Metric(
        "gvisor_last_proof_timestamp_seconds",
        "Time of the last proof of isolation, also a failed one; absent if never.",
        [({}, _seconds(report.node.proof.at))] if report.node and report.node.proof.at else [],
    )
    yield Metric(
        "gvisor_last_audit_timestamp_seconds",
        "Time of the last audit of the node.",
        [({}, _seconds(report.at))],
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


def _release(report: HostReport) -> list[Sample]:
    node = report.node
    if node is None:
        return []
    labels = {
        "release": node.in_use or node.release,
        "docker": node.docker or "",
        "kernel": node.kernel,
    }
    return [(labels, 1)]


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
