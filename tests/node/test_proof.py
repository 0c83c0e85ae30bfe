"""The proof cannot be fooled, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.running import DEBIAN, OPERATIONS, Fleet, no_leftovers

HOME = "/opt/gvisor/releases/20240729.0"
RELEASE = f"{HOME}/runsc"
STAT = "find . ! -type d ! -path ./manifest.json -printf '%P %y %m %U:%G %s %T@ %C@\\n'"


@contextmanager
def impostor(node: LabNode, script: str) -> Iterator[None]:
    """
    A release whose runsc is something else, and was from the start: its manifest, the wrapper and
    daemon.json are as declared.
    """
    manifest = node.exec("cat", f"{HOME}/manifest.json").stdout
    node.exec("mv", RELEASE, "/root/runsc.real")
    node.put(RELEASE, script.encode(), mode=0o755)
    stat = node.exec("sh", "-c", f"cd {HOME} && {STAT} | LC_ALL=C sort").stdout.splitlines()
    forged = json.dumps({**json.loads(manifest), "stat": stat})
    node.put(f"{HOME}/manifest.json", f"{forged}\n".encode())
    try:
        yield
    finally:
        node.exec("mv", "/root/runsc.real", RELEASE)
        node.put(f"{HOME}/manifest.json", manifest.encode())


def rows(text: str) -> dict[str, str]:
    """The table's lines by check."""
    lines = [line.split("] ", 1)[1] for line in text.splitlines() if "  runsc  " in line]
    return {line.split()[0]: line for line in lines}


def test_a_runtime_that_starts_runc_is_not_proven(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    script = (
        '#!/bin/sh\nfor flag; do case "$flag" in --network=* | --overlay2=*) shift ;; esac; done\n'
    )
    script += 'exec runc "$@"\n'
    with impostor(converged["plain"], script):
        outcome = fleet.run("plain", data={**DEBIAN, "gvisor_proof": "always"})

    table = rows(outcome.stderr)
    assert outcome.code == 1
    assert "gvisor.proof: probe on plain: not proven: " in outcome.stderr
    assert "do not run strangers' code here" in outcome.stderr
    for check in (
        "kernel-inside",
        "process-outside",
        "raw-socket",
        "packet-socket",
        "docker-socket",
        "release",
    ):
        assert table[check].endswith("NOT PROVEN"), table[check]
    assert table["exec"].endswith("ok")
    assert no_leftovers(converged["plain"]) == ""


def test_a_runtime_that_does_not_start_is_not_proven(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    with impostor(converged["plain"], "#!/bin/sh\nexit 1\n"):
        outcome = fleet.run("plain", data={**DEBIAN, "gvisor_proof": "always"})

    assert outcome.code == 1
    assert "runsc did not start: docker: Error response from daemon: " in outcome.stderr
    assert all(row.endswith("NOT PROVEN") for row in rows(outcome.stderr).values())
    assert no_leftovers(converged["plain"]) == ""


def test_a_failed_proof_is_due_again(converged: dict[str, LabNode], fleet: Fleet) -> None:
    assert fleet.run("plain").code == 0
    with impostor(converged["plain"], "#!/bin/sh\nexit 1\n"):
        first = fleet.run("plain", data={**DEBIAN, "gvisor_proof": "always"})

    second, third = fleet.run("plain"), fleet.run("plain")

    assert [first.code, second.code, third.code] == [1, 0, 0]
    assert "kernel-inside" in second.stderr
    assert third.stderr.count("No changes") == OPERATIONS


@pytest.mark.parametrize("when", ["always", "never"])
def test_when_it_is_proven_can_be_said(
    converged: dict[str, LabNode], fleet: Fleet, when: str
) -> None:
    fleet.run("plain")

    outcome = fleet.run("plain", data={**DEBIAN, "gvisor_proof": when})

    assert outcome.code == 0
    assert ("kernel-inside" in outcome.stderr) is (when == "always")


def test_every_output_repeats_the_accepted_risk(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    outcome = fleet.run("plain", data={**DEBIAN, "gvisor_proof": "always"})

    said = (
        "RISK ACCEPTED: runsc 20240729.0 is open to CVE-2025-2713, CVE-2026-96812. Reason given: "
    )
    assert outcome.stderr.count(said + "throwaway test nodes") == 2


def test_a_killed_proof_leaves_nothing_that_the_next_does_not_remove(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    controller = fleet.start("plain", {**DEBIAN, "gvisor_proof": "always"})
    _wait_for_probe(node)

    os.killpg(controller.pid, signal.SIGKILL)
    node.exec(
        "sh",
        "-c",
        "pkill -KILL -f 'timeout -k 10 120 sh'; pkill -KILL -f 'label=pyinfra-gvisor.probe'",
    )
    controller.wait()
    outcome = fleet.run("plain", data={**DEBIAN, "gvisor_proof": "always"})

    assert outcome.code == 0, outcome.text
    assert no_leftovers(node) == ""


def _wait_for_probe(node: LabNode) -> None:
    deadline = time.monotonic() + 30
    while not node.exec("docker", "ps", "-q", "--filter", "label=pyinfra-gvisor.probe").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
