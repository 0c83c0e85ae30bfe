"""What differs between a runsc of 2024 and one of 2026, on the same node: docs/compatibility.md."""

import time
from collections.abc import Iterator

import pytest

from tests.node.archives import current_archive, release_members
from tests.node.running import HOME, SENTRY
from tests.node.sandboxes import DIRECTORY, sandbox
from tests.table import table
from tools.lab import LabNode

OLD_PROGRAM = "/usr/local/bin/runsc"
"""The one of 2024 on a lived-in node."""

IDLE_S = 10


@pytest.fixture
def node(converged: dict[str, LabNode]) -> Iterator[LabNode]:
    """A node with both, and nothing of these tests afterwards."""
    yield converged["lived-in"]
    converged["lived-in"].exec("rm", "-rf", DIRECTORY)


def test_the_kernel_inside_names_gvisor(node: LabNode) -> None:
    with sandbox(node, OLD_PROGRAM, "old") as old, sandbox(node, f"{HOME}/runsc", "new") as new:
        releases = [each.says("uname", "-r") for each in (old, new)]
        versions = {each.says("uname", "-v") for each in (old, new)}

    assert releases == ["4.4.0", "4.19.0-gvisor"]
    assert versions == {"#1 SMP Sun Jan 10 15:06:54 PST 2016"}


def test_the_sentry_is_a_program_of_its_own(node: LabNode) -> None:
    with sandbox(node, OLD_PROGRAM, "old") as old, sandbox(node, f"{HOME}/runsc", "new") as new:
        programs = [old.program, new.program]

    assert programs == [OLD_PROGRAM, SENTRY]


def test_without_its_sidecars_runsc_is_its_own_sentry(node: LabNode) -> None:
    alone = f"{DIRECTORY}/alone/runsc"
    assert node.exec("install", "-D", f"{HOME}/runsc", alone).code == 0

    with sandbox(node, alone, "alone") as running:
        program = running.program

    assert program == alone


def test_a_sentry_of_another_release_is_refused_by_the_policy_of_strict_hardening(
    node: LabNode,
) -> None:
    other = f"{DIRECTORY}/other"
    members = release_members(current_archive(), "20260928.0")
    assert node.exec("install", "-D", f"{HOME}/runsc", f"{other}/runsc").code == 0
    node.put(f"{other}/gvisor-bin/gvisor_sentry", members["gvisor-bin/gvisor_sentry"], mode=0o755)

    policy = "--sidecar-release-enforcement-policy"
    with sandbox(node, f"{other}/runsc", "any", f"{policy}=NEVER") as taken:
        program = taken.program
    with (
        pytest.raises(AssertionError, match="waiting for sandbox to start: EOF"),
        sandbox(node, f"{other}/runsc", "strict", f"{policy}=ALWAYS"),
    ):
        pass

    assert program.endswith("/other/gvisor-bin/gvisor_sentry"), "below a mount its path is cut"


def test_the_strictest_policy_wants_a_sidecar_that_the_lab_build_lacks(node: LabNode) -> None:
    with (
        pytest.raises(AssertionError, match="gvisor-sentry-prewarmer"),
        sandbox(node, f"{HOME}/runsc", "strictest", "--sidecar-usage-policy=STRICT"),
    ):
        pass


@table(
    "path, major, minor, says",
    {
        "gpu": ("/dev/nvidiactl", 195, 255, "failed to get Nvidia driver version"),
        "tpu": ("/dev/accel0", 120, 0, "mounting .*sysfs"),
    },
)
def test_a_device_alone_leads_to_the_hosts_driver_without_a_flag(
    node: LabNode, path: str, major: int, minor: int, says: str
) -> None:
    device = {"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
    assert node.exec("mknod", path, "c", str(major), str(minor)).code == 0
    try:
        with sandbox(node, OLD_PROGRAM, "old", devices=(device,)) as old:
            started = old.says("uname", "-r")
        with (  # there is no such hardware: that it is looked for shows that the driver is on
            pytest.raises(AssertionError, match=says),
            sandbox(node, f"{HOME}/runsc", "new", devices=(device,)),
        ):
            pass
    finally:
        node.exec("rm", path)
    assert started == "4.4.0", "nothing was looked for"


_BIND = (
    "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die;"
    ' print bind($s, sockaddr_in(80, INADDR_ANY)) ? "bound" : "$!"'
)


def test_a_port_below_1024_needs_no_capability_with_the_nodes_network(node: LabNode) -> None:
    with (
        sandbox(node, OLD_PROGRAM, "old", network="host") as old,
        sandbox(node, f"{HOME}/runsc", "new", network="host") as new,
    ):
        came = [each.says("perl", "-e", _BIND) for each in (old, new)]

    assert came == ["Permission denied", "bound"]


def test_an_idle_sandbox_costs_nothing(node: LabNode) -> None:
    with sandbox(node, OLD_PROGRAM, "old") as old, sandbox(node, f"{HOME}/runsc", "new") as new:
        time.sleep(2)  # what starting costs is not meant
        before = [old.ticks(), new.ticks()]
        time.sleep(IDLE_S)
        spent = [now - then for now, then in zip((old.ticks(), new.ticks()), before, strict=True)]

    assert spent[0] > 5 * spent[1], spent
    assert spent[1] <= 2, spent


def test_a_network_stack_of_its_own_starts(node: LabNode) -> None:
    why = "cannot run with network enabled in root network namespace"

    with (
        pytest.raises(AssertionError, match=why),
        sandbox(node, OLD_PROGRAM, "o", network="sandbox"),
    ):
        pass
    with sandbox(node, f"{HOME}/runsc", "new", network="sandbox") as new:
        kernel = new.says("uname", "-r")

    assert kernel == "4.19.0-gvisor"
