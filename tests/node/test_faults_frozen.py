"""Twelve hosts, of which one freezes, one falls silent and one is not there, on two real nodes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker import from_env

from tests.node.faults import wait_for
from tests.node.running import pyinfra
from tools.lab import LabNode

pytestmark = pytest.mark.slow

TIMEOUT_S = 8
SILENT_S = 7  # for the ssh server alone, after a second
GOOD = [f"run-{number}" for number in range(1, 10)]
MARK = "/run/about-to-freeze"
# The command stops the sshd process that carries it: the node's kernel goes on answering.
STOP = """
here=$$
until grep -q sshd "/proc/$here/comm"; do here=$(cut -d' ' -f4 "/proc/$here/stat"); done
kill -STOP "$here"
sleep 1
"""
DEPLOY = f"""
from pyinfra import host
from pyinfra.operations import server

from pyinfra_gvisor import audit_node
from pyinfra_gvisor.facts import deadline

deadline.ASK_EVERY_S, deadline.SILENT_S = 1, {SILENT_S}
steps = {{"silent": {STOP!r}, "frozen": "touch {MARK}; sleep {TIMEOUT_S}"}}
server.shell(name="Look around", commands=[steps.get(host.name, "true")])
audit_node()
"""
SETTINGS: dict[str, Any] = {
    "_sudo": True,
    "gvisor_runtimes": {},
    "gvisor_audit_fail_on": "critical",
}


def inventory(nodes: dict[str, LabNode], reports: Path) -> str:
    """Nine good hosts and a silent one on one node, two others on another."""
    good, other = (
        {**nodes[name].host_data(), **SETTINGS, "gvisor_report_dir": str(reports)}
        for name in ("plain", "lived-in")
    )
    hosts = [(name, good) for name in (*GOOD, "silent")]
    waits = {"gvisor_restart_wait_s": 0, "gvisor_apply_timeout_s": 1}
    soon = {"gvisor_host_timeout_s": TIMEOUT_S - 2, **waits}
    hosts += [("frozen", {**other, **soon}), ("away", {**other, "ssh_port": 1})]
    return f"run = {hosts!r}\n"


@contextmanager
def freezing(node: LabNode) -> Iterator[None]:
    """Freeze a node, its kernel aside, when the run is there."""
    container = from_env().containers.get(node.name)

    def freeze() -> None:
        wait_for(node, f"test -e {MARK}")
        container.pause()

    with ThreadPoolExecutor(1) as pool:
        frozen = pool.submit(freeze)
        try:
            yield
        finally:
            frozen.result()
            container.unpause()
            node.exec("rm", "-f", MARK)


def test_the_others_are_done_both_are_given_up_in_one_step_and_nobody_is_called_good(
    faulty: dict[str, LabNode], tmp_path: Path
) -> None:
    (tmp_path / "fleet.py").write_text(inventory(faulty, tmp_path / "reports"))
    (tmp_path / "look.py").write_text(DEPLOY)

    with freezing(faulty["lived-in"]):
        outcome = pyinfra(str(tmp_path / "fleet.py"), str(tmp_path / "look.py"), "-y")
    faulty["plain"].exec("pkill", "-KILL", "-f", "^sshd(-session)?: debian")

    assert outcome.code == 1, outcome.text
    report = json.loads((tmp_path / "reports" / "fleet.json").read_text())
    bad = {item["host"]: item["error"] for item in report["hosts"] if item["error"]}
    closed = "in the step 'Look around', so the connection was closed"
    assert bad == {
        "frozen": f"no answer within {TIMEOUT_S - 2} s {closed}",
        "silent": f"no answer of its ssh server within {SILENT_S} s {closed}",
        "away": "no connection, so nothing is known of this host",
    }
    assert [item["host"] for item in report["hosts"] if item["compliant"]] == GOOD
    assert "no answer: silent, frozen\n" in outcome.text
