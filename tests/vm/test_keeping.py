"""
What comes after the main job on a machine of its own, in this order: Docker's names in a sandbox, a
watch over a reboot, a proof while it is slow, removal.
"""

from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import pytest

from tests.node.audits import LABELS, sh
from tests.node.containers import remove_container, start_container
from tests.node.faults import wait_for
from tests.node.proving import rows
from tests.node.running import PROVEN, WITH_ROWS, Fleet
from tests.node.seeing import no_leftovers, processes
from tests.node.watching import UNIT
from tests.vm.conftest import FOREIGN, NAME
from tests.vm.slowing import slowed, speed_of
from tests.vm.test_core import ALWAYS, WANTED, module
from tools.lab import LabError, LabNode
from tools.lab.machines import VirtualNode

pytestmark = pytest.mark.slow

TENTH = 0.1
INTERVAL_S = 60
KEPT: dict[str, Any] = {
    **WANTED,
    "gvisor_runtimes": {"runsc": {}, "inner": {"network": "sandbox", "dns": "docker"}},
    "gvisor_watch": True,
    "gvisor_watch_interval_s": INTERVAL_S,
}
UNPROVEN = {**KEPT, "gvisor_proof": "never"}
ADDRESS_OF = 'perl -e \'$a = gethostbyname shift or exit 1; print join ".", unpack "C4", $a\''
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture(scope="module")
def kept(fleet: Fleet) -> LabNode:
    """The machine with names, a watch and a proof, and an app in a sandbox."""
    node = fleet.nodes[NAME]
    outcome = fleet.run(NAME, flags=WITH_ROWS, data=KEPT)
    assert outcome.code == 0, outcome.text
    found = rows(outcome, "inner")
    assert [line for line in found.values() if not line.endswith((" ok", " n/a"))] == []
    sh(node, "docker network create back > /dev/null")
    start_container(node, "app", *ALWAYS, *LABELS, "--runtime=inner", "--network=back")
    start_container(node, "peer", *ALWAYS, "--network=back", "--network-alias=db")
    return node


def address_of(node: LabNode, name: str) -> str:
    """Return the address that the app resolves a name to."""
    return sh(node, f"docker exec app {ADDRESS_OF} {name}")


def test_an_app_in_a_sandbox_finds_its_neighbours_by_name(kept: LabNode) -> None:
    own = "{{.NetworkSettings.Networks.back.IPAddress}}"
    peer = sh(kept, f"docker inspect --format '{own}' peer").strip()

    assert [address_of(kept, name) for name in ("peer", "db")] == [peer, peer]


def test_after_a_reboot_all_of_it_runs_and_the_watch_finds_what_is_bare(
    fleet: Fleet, kept: LabNode
) -> None:
    start_container(kept, "bare", *ALWAYS, *LABELS)
    boot = sh(kept, BOOT_ID)

    kept.exec("systemctl", "reboot")
    wait_until_rebooted(kept, boot)

    assert {"app", "peer", "bare"} <= processes(kept).keys()
    assert module(kept) == "refused"
    assert address_of(kept, "peer")
    wait_for(kept, f"journalctl -b -q -t {UNIT} -p err..err | grep -q bare", timeout_s=240)
    assert sh(kept, f"journalctl -b -q -t {UNIT} -p err..err | grep -c ' app' || true") == "0\n"
    remove_container(kept, "bare")
    second = fleet.run(NAME, data=UNPROVEN)
    assert second.idle, second.text


def wait_until_rebooted(node: LabNode, boot: str) -> None:
    """Wait until the machine answers after another boot."""
    until_s = monotonic() + node.ready_timeout_s
    while monotonic() < until_s:
        with suppress(LabError):  # it goes down while it is asked
            node.wait_until_ready()
            if node.exec("sh", "-c", BOOT_ID).stdout not in {"", boot}:
                return
        sleep(1)
    pytest.fail("it has not booted anew")


def test_with_a_tenth_of_this_machines_speed_it_is_proven(fleet: Fleet, kept: LabNode) -> None:
    assert isinstance(kept, VirtualNode)

    share = min(1, TENTH / speed_of(kept))
    with slowed(kept, share):
        speed = speed_of(kept)
        outcome = fleet.run(NAME, flags=WITH_ROWS, data={**KEPT, "gvisor_proof": "always"})

    assert speed < 2 * TENTH, "it was slow"
    assert outcome.code == 0, outcome.text
    for runtime in KEPT["gvisor_runtimes"]:
        found = rows(outcome, runtime)
        assert [line for line in found.values() if not line.endswith((" ok", " n/a"))] == []


def test_removal_leaves_a_plain_server_on_which_all_runs(fleet: Fleet, kept: LabNode) -> None:
    for name in ("app", "peer"):
        remove_container(kept, name)
    ran = processes(kept)

    removed = fleet.run(NAME, deploy="deploys/remove.py", data=PROVEN)

    assert removed.code == 0, removed.text
    assert processes(kept) == ran
    assert kept.read("/etc/docker/daemon.json") == FOREIGN, "to the byte"
    assert no_leftovers(kept) == ""
    left = "ls -d /opt/gvisor /var/lib/pyinfra-gvisor /etc/modprobe.d/pyinfra* 2>/dev/null || true"
    assert sh(kept, left) == ""
    assert "gvisor" not in sh(kept, "docker info --format '{{json .Runtimes}}'; nft list ruleset")
    assert module(kept) == "loaded"
