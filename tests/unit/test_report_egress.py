"""The firewall in every form of a report."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.earlier import earlier
from pyinfra_gvisor.report.files import write_host
from pyinfra_gvisor.report.terminal import fleet_lines, host_lines
from pyinfra_gvisor.report.textfile import textfile
from tests.unit.firewalled import DATABASE, METADATA, box, counted, firewall, guarded
from tests.unit.reports import COUNTERS, GONE, WEB, fleet, host, with_firewall


def test_what_the_kernel_counted_and_whom_it_stopped_is_in_the_document() -> None:
    lines = [*box("web", "172.18.0.2"), *counted(("172.18.0.2", *METADATA), counters=COUNTERS)]
    gone = counted(("172.18.0.9", *DATABASE))

    document = guarded(*lines, *gone).to_json()

    assert document["egress"] == {
        "declared": True,
        "in_force": True,
        "counters": COUNTERS,
        "stopped": [
            {"who": "web", "running": True, "tried": ["169.254.169.254:80/tcp"], "more": 0},
            {"who": "172.18.0.9", "running": False, "tried": ["10.0.0.5:5432/tcp"], "more": 0},
        ],
    }


def test_destinations_without_end_are_counted_only() -> None:
    tries = [("172.18.0.2", f"10.0.1.{number}", 6, 5432) for number in range(1, 201)]

    report = guarded(*box("web", "172.18.0.2"), *counted(*tries))

    assert report.egress is not None
    (web,) = report.egress.stopped
    assert (len(web.tried), web.more) == (50, 150)


def test_what_the_table_of_a_firewall_that_is_gone_had_is_not_made_up() -> None:
    report = guarded(told=firewall(without=["now"]))

    assert report.egress is not None
    assert (report.egress.in_force, report.egress.counters, report.egress.stopped) == (
        False,
        {},
        (),
    )


def test_a_report_of_before_there_were_firewalls_is_read(tmp_path: Any) -> None:
    path = write_host(tmp_path, host("run-1"))
    path.write_text(re.sub(r'\n *"egress": null,', "", path.read_text()))

    assert earlier(tmp_path, "run-1") == host("run-1")
    assert "egress" not in path.read_text()


def test_a_firewall_survives_being_written_and_read(tmp_path: Any) -> None:
    report = with_firewall(stopped=(WEB, GONE))

    write_host(tmp_path, report)

    assert earlier(tmp_path, "run-1") == report


def test_its_metrics_are_counters_by_rule() -> None:
    text = textfile(with_firewall())

    assert "# TYPE gvisor_egress_in_force gauge\ngvisor_egress_in_force 1\n" in text
    assert (
        "# TYPE gvisor_egress_packets_total counter\n"
        'gvisor_egress_packets_total{verdict="drop",rule="metadata"} 3\n'
        'gvisor_egress_packets_total{verdict="drop",rule="node"} 0\n'
    ) in text
    assert (
        "# TYPE gvisor_egress_connections_total counter\n"
        'gvisor_egress_connections_total{verdict="accept",rule="dns"} 120\n'
        'gvisor_egress_connections_total{verdict="accept",rule="internet"} 4031\n'
    ) in text
    assert text.count("# HELP gvisor_egress_") == 3


def test_a_firewall_that_is_not_in_force_is_zero_and_counts_nothing() -> None:
    text = textfile(with_firewall(in_force=False, counters={}))

    assert "gvisor_egress_in_force 0\n" in text
    assert "_total" not in text


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(host("a"), id="none"),
        pytest.param(with_firewall(declared=False), id="undeclared"),
    ],
)
def test_there_are_no_metrics_of_a_firewall_that_is_not_declared(report: HostReport) -> None:
    assert "egress" not in textfile(report)


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        pytest.param({}, "", id="nothing-to-say"),
        pytest.param({"stopped": (WEB, GONE)}, "; firewall blocked 2 containers", id="2"),
        pytest.param({"in_force": False}, "; FIREWALL NOT ACTIVE", id="not-in-force"),
    ],
)
def test_the_terminal_is_told_only_what_somebody_has_to_know(
    changes: dict[str, Any], end: str
) -> None:
    report = with_firewall(**changes)

    line = f"run-1: compliant; nothing found; 1 of 1 containers sandboxed{end}"
    assert host_lines(report) == [line]
    assert line in fleet_lines(fleet(report))
