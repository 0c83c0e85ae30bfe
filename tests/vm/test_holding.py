"""What must hold on a machine after its main job, whatever fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode, qemu
from tests.node.audits import sh
from tests.node.faults import COLD_START
from tests.node.running import (
    Fleet,
    processes,
    remove_container,
    snapshot,
    start_container,
)
from tests.vm.conftest import NAME, SPEC
from tests.vm.test_core import ALWAYS, CONNECT, WANTED

pytestmark = pytest.mark.slow

UNPROVEN = {**WANTED, "gvisor_proof": "never"}
PORT = 8080
CORE_TAGS = "--enable-core-tags"
SERVE = (
    f"use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => {PORT}, Listen => 9);"
    ' while (my $c = $s->accept) { print $c "hello\\n"; close $c }'
)
PUBLISHED = f"docker run -d --name web -p {PORT}:{PORT} {' '.join(ALWAYS)} -v /usr:/usr:ro test:1"


@pytest.fixture(scope="module")
def held(fleet: Fleet) -> LabNode:
    """The machine as declared."""
    outcome = fleet.run(NAME, data=UNPROVEN)
    assert outcome.code == 0, outcome.text
    return fleet.nodes[NAME]


@pytest.fixture
def boxed(held: LabNode) -> Iterator[str]:
    """A container under one of the runtimes."""
    start_container(held, "boxed", "--runtime=inner")
    yield "boxed"
    remove_container(held, "boxed")


def test_a_running_sandbox_can_be_entered_restarted_and_stopped(held: LabNode, boxed: str) -> None:
    for command in ("exec boxed true", "restart -t 0 boxed", "exec boxed true", "stop -t 0 boxed"):
        sh(held, f"docker {command}")


# A change that is refused, by what is asked and by what is said.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a-known-escape": (
        {"gvisor_release": "20240729.0", "gvisor_source": "debian"},
        "release 20240729.0 has a known escape",
    ),
    "another-checksum": (
        {"gvisor_release": "20260929.0", "gvisor_sha512": {SPEC.arch: "0" * 128}},
        "expected 000000",
    ),
    "core-tags-without-smt": (
        {"gvisor_runtimes": {**WANTED["gvisor_runtimes"], "tagged": {"flags": [CORE_TAGS]}}},
        f"{CORE_TAGS} of runtime tagged needs core scheduling",
    ),
    "a-runtime-that-is-used": (
        {"gvisor_runtimes": {"runsc": {}}},
        "inner (these need it to start: boxed)",
    ),
}


@pytest.mark.parametrize(
    ("changed", "says"), [pytest.param(*case, id=name) for name, case in REFUSED.items()]
)
def test_what_is_refused_changes_nothing(
    fleet: Fleet, held: LabNode, boxed: str, changed: dict[str, Any], says: str
) -> None:
    before = snapshot(held)

    refused = fleet.run(NAME, data={**UNPROVEN, **changed})

    assert refused.code == 1
    assert says in refused.text
    assert snapshot(held) == before


def test_a_host_that_is_not_reached_fails_the_run_and_no_other_host(
    fleet: Fleet, held: LabNode
) -> None:
    alone = fleet.run(NAME, data=UNPROVEN).stderr.count("No changes")
    two = replace(fleet, nodes={**fleet.nodes, "gone": held})

    outcome = two.run(NAME, "gone", data=UNPROVEN, by_host={"gone": {"ssh_port": 1}})

    assert outcome.code == 1
    assert outcome.stderr.count("No changes") == alone > 0


def test_a_dockerd_that_does_not_start_is_started_as_it_was(fleet: Fleet, held: LabNode) -> None:
    before, ran = sh(held, "cat /etc/docker/daemon.json"), processes(held)

    outcome = fleet.run(NAME, data={**UNPROVEN, "gvisor_daemon_json": COLD_START})

    assert outcome.code == 1
    assert "dockerd did not start; rolling back" in outcome.stderr
    assert sh(held, "cat /etc/docker/daemon.json") == before
    assert processes(held) == ran


def test_a_published_port_answers_before_and_after_a_restart_of_dockerd(
    fleet: Fleet, held: LabNode
) -> None:
    ask = f"perl -e '{CONNECT}' {qemu.ADDRESS}:{PORT}"
    daemon = sh(held, "cat /run/docker.pid")
    try:
        sh(held, f"{PUBLISHED} perl -e '{SERVE}' > /dev/null")
        before = sh(held, ask)
        driver = {"gvisor_daemon_json": {"log-driver": "none"}}
        outcome = fleet.run(NAME, data={**UNPROVEN, **driver})
        after = sh(held, ask)
    finally:
        remove_container(held, "web")
    assert outcome.code == 0, outcome.text
    assert sh(held, "cat /run/docker.pid") != daemon
    assert (before, after) == ("reached", "reached")
