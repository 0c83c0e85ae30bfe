"""A report's lines on a terminal."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.report.document import FleetReport
from pyinfra_gvisor.report.terminal import fleet_lines, host_lines
from tests.unit.reports import MODE, UNSANDBOXED, WAIVED, every_state, failed, fleet, host, unknown

FAILED = (
    "run-2: FAILED, not compliant; 1 critical, 1 high, 1 low, 1 waived; 1 of 3 containers sandboxed"
)


def test_a_host_that_fails_says_what_was_seen_and_what_to_do_the_worst_first() -> None:
    assert host_lines(failed()) == [
        f"CRITICAL container-unsandboxed shop-db: {UNSANDBOXED.what}",
        "    seen: runtime runc, /proc/2113/exe is /usr/sbin/mysqld",
        "    do: Deploy it again with the runtime runsc; until then stop it.",
        "HIGH container-docker-sock panel: has Docker's socket mounted, and with it the whole node",
        "    seen: /var/run/docker.sock -> /var/run/docker.sock (rw)",
        "    do: Take the mount away, or exempt the container with a reason.",
        "LOW daemon-json-mode /etc/docker/daemon.json: can be written by its group",
        "    seen: mode 0664, owner root:docker",
        "    do: chmod 0644 /etc/docker/daemon.json",
        "waived userns-remap dockerd: gVisor does not run under userns-remap",
        FAILED,
    ]


def test_a_clean_host_is_one_line() -> None:
    assert host_lines(host("run-1")) == [
        "run-1: compliant; nothing found; 1 of 1 containers sandboxed"
    ]


def test_an_unknown_host_says_why_and_that_it_is_not_compliant() -> None:
    assert host_lines(unknown("run-4", "no route to host")) == [
        "UNKNOWN run-4: no route to host",
        "run-4: UNKNOWN, not compliant",
    ]


def test_the_fleet_is_a_line_a_host_what_fails_first_and_the_verdict() -> None:
    assert fleet_lines(every_state()) == [
        "run-4: UNKNOWN, not compliant",
        FAILED,
        "run-3: compliant, with findings; 1 low; 1 of 1 containers sandboxed",
        "run-1: compliant; nothing found; 1 of 1 containers sandboxed",
        "NOT COMPLIANT: 2 of 4 hosts are compliant",
    ]


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        pytest.param(fleet(), "NOT COMPLIANT: no host was checked", id="no-host"),
        pytest.param(
            fleet(host("a"), host("b", MODE)), "compliant: 2 of 2 hosts are compliant", id="all"
        ),
    ],
)
def test_the_last_line_is_the_verdict(report: FleetReport, verdict: str) -> None:
    assert fleet_lines(report)[-1] == verdict


def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost() -> None:
    long = "word " * 60 + "w" * 250
    finding = UNSANDBOXED.model_copy(update={"what": long, "evidence": long, "subject": "s" * 120})
    waived = WAIVED.model_copy(update={"waived": long})

    lines = host_lines(host("h" * 250, finding, waived))

    assert max(map(len, lines)) <= 100
    assert "".join(lines).count("word") >= 120
    assert sum(line.startswith("waived ") for line in lines) == 1


def test_a_node_cannot_steer_the_terminal_nor_write_a_line_of_ours() -> None:
    evil = "a\x1b[2J\u202eb\r\nrun-1: compliant"
    finding = UNSANDBOXED.model_copy(update={"subject": evil, "evidence": evil})

    lines = host_lines(host("run-1", finding, WAIVED.model_copy(update={"waived": evil})))

    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if line.startswith("run-1: compliant")] == []
