"""The kernel's settings on real nodes: they share a kernel, so only a namespace's are set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.lab import FLAVOURS, LabNode, NodeSpec
from tests.node.conftest import LAB, lab_of
from tests.node.running import Fleet, Outcome, snapshot

NODES = {"debian-13": NodeSpec(FLAVOURS["debian-13"]), "debian-12": NodeSpec(FLAVOURS["debian-12"])}
MODPROBE, SYSCTL = "/etc/modprobe.d/pyinfra-gvisor.conf", "/etc/sysctl.d/90-pyinfra-gvisor.conf"
KEPT_IN = "/opt/gvisor/kernel"
NOT_A_NAMESPACES = (
    *("dev.tty.ldisc_autoload", "vm.unprivileged_userfaultfd", "net.core.bpf_jit_harden"),
    *(f"fs.protected_{kind}" for kind in ("fifos", "hardlinks", "regular", "symlinks")),
    *("kernel.dmesg_restrict", "kernel.kptr_restrict", "kernel.unprivileged_bpf_disabled"),
)
KEPT: dict[str, Any] = {"sysctls": dict.fromkeys(NOT_A_NAMESPACES)}
KEY = "net.ipv4.conf.all.send_redirects"
STRONG = {
    **{
        f"net.ipv4.conf.{name}.{kind}": "0"
        for name in ("all", "default")
        for kind in ("accept_redirects", "accept_source_route", "secure_redirects")
    },
    **{f"net.ipv4.conf.{name}.send_redirects": "0" for name in ("all", "default")},
    "net.ipv6.conf.default.accept_redirects": "0",
    "net.ipv4.tcp_syncookies": "1",
}
DEPLOY = """
from pyinfra import host

from pyinfra_gvisor.parts.kernel.settings import Kernel
from pyinfra_gvisor.operations import kernel

wanted = host.data.get("kernel")
kernel.surface(None if wanted is None else Kernel(**wanted), name="Have the kernel as declared")
"""


@dataclass(frozen=True)
class Ground:
    """The nodes, and how the operation is run on them."""

    nodes: Mapping[str, LabNode]
    fleet: Fleet
    deploy: Path

    def have(
        self, kernel: Mapping[str, Any] | None, *names: str, flags: tuple[str, ...] = ("-y",)
    ) -> Outcome:
        """A run with these settings, on every node unless some are named."""
        chosen = names or tuple(self.nodes)
        return self.fleet.run(*chosen, data={"kernel": kernel}, deploy=self.deploy, flags=flags)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Nodes of its own."""
    directory = tmp_path_factory.mktemp("kernel")
    deploy = directory / "kernel.py"
    deploy.write_text(DEPLOY)
    with lab_of(f"{LAB}-kernel", NODES) as nodes:
        yield Ground(nodes, Fleet(nodes, directory), deploy)


@pytest.fixture
def ground(everything: Ground) -> Iterator[Ground]:
    """The same, with nothing of ours on them before and behind a test."""
    yield everything
    left = [name for name, node in everything.nodes.items() if node.exec("ls", KEPT_IN).code == 0]
    if left:
        gone = everything.have(None, *left)
        assert gone.code == 0, gone.text


@pytest.fixture
def node(ground: Ground) -> LabNode:
    """The node that most of it is tried on."""
    return ground.nodes["debian-13"]


def values(node: LabNode) -> dict[str, str]:
    """Every setting of its own network, by its path."""
    look = "grep -rs '' /proc/sys/net/ipv4 /proc/sys/net/ipv6 | grep -v -e stable_secret -e /neigh/"
    lines = node.exec("sh", "-c", look).stdout.splitlines()
    return dict(line.split(":", 1) for line in lines)


def whole(node: LabNode) -> tuple[list[str], dict[str, str]]:
    """Return all that a deploy could change but the list of changes, which stays."""
    lines = snapshot(node).splitlines()
    kept = [line for line in lines if not line.startswith("/var/lib/pyinfra-gvisor")]
    return kept, values(node)


def strong(node: LabNode) -> dict[str, str]:
    """Those that are to be in force, as they are."""
    ran = node.exec("sysctl", *STRONG)
    assert ran.code == 0, ran
    return dict(line.split(" = ") for line in ran.stdout.splitlines())


def test_everything_is_in_force_a_second_run_changes_nothing_and_removal_gives_all_back(
    ground: Ground,
) -> None:
    before = {name: whole(node) for name, node in ground.nodes.items()}

    dry = ground.have(KEPT, flags=("--dry", "--diff"))
    assert dry.code == 0, dry.text
    assert f"{KEY}: 1 -> 0" in dry.stderr
    assert "+install cuse /bin/false" in dry.stderr
    assert "this kernel cannot load modules" in dry.stderr
    assert {name: whole(node) for name, node in ground.nodes.items()} == before

    first = ground.have(KEPT)
    assert first.code == 0, first.text
    for node in ground.nodes.values():
        assert strong(node) == STRONG
        stats = node.exec("stat", "-c", "%a %U:%G", MODPROBE, SYSCTL).stdout.splitlines()
        assert stats == ["644 root:root"] * 2
        assert "install tipc /bin/false\n" in node.exec("cat", MODPROBE).stdout
        assert node.exec("modprobe", "--showconfig").stdout.count("\ninstall sctp /bin/false") == 1

    second = ground.have(KEPT)
    assert second.stderr.count("No changes") == len(ground.nodes), second.text
    assert "cannot load modules" not in second.text

    gone = ground.have(None)
    assert gone.code == 0, gone.text
    assert {name: whole(node) for name, node in ground.nodes.items()} == before
    assert ground.have(None).stderr.count("No changes") == len(ground.nodes)


def test_what_somebody_changed_is_put_right_and_what_is_read_behind_ours_is_named(
    ground: Ground, node: LabNode
) -> None:
    ground.have(KEPT, "debian-13")
    node.exec("sysctl", "-qw", f"{KEY}=1")
    node.exec("sh", "-c", f"echo 'install tipc /bin/true' > {MODPROBE}; chmod 666 {SYSCTL}")
    node.exec("sh", "-c", f"echo '{KEY} = 1' > /etc/sysctl.d/99-other.conf")

    mended = ground.have(KEPT, "debian-13")
    node.exec("rm", "/etc/sysctl.d/99-other.conf")

    assert mended.code == 0, mended.text
    assert f"{KEY}: 1 -> 0" in mended.stderr
    assert f"write {SYSCTL}: correct mode and owner" in mended.stderr
    assert f"/etc/sysctl.d/99-other.conf sets {KEY} to 1 and is read after" in mended.stderr
    assert strong(node) == STRONG
    assert "install tipc /bin/false" in node.exec("cat", MODPROBE).stdout
    assert ground.have(KEPT, "debian-13").stderr.count("No changes") == 1


def test_a_boot_brings_the_settings_back_and_new_bridges_have_them(
    ground: Ground, node: LabNode
) -> None:
    first = ground.have(KEPT, "debian-13")

    node.kill()
    node.start()

    assert "interfaces that are already up keep their values until the next boot" in first.stderr
    assert strong(node) == STRONG
    assert node.exec("ip", "link", "add", "shop0", "type", "bridge").code == 0
    new = node.exec("sysctl", "-n", "net.ipv4.conf.shop0.send_redirects").stdout
    node.exec("ip", "link", "del", "shop0")
    assert new == "0\n"
    assert ground.have(KEPT, "debian-13").stderr.count("No changes") == 1


@pytest.mark.slow
def test_a_value_that_the_kernel_refuses_changes_nothing_and_fails_the_host_alone(
    ground: Ground, node: LabNode
) -> None:
    before = whole(node)
    bad = {"sysctls": {**KEPT["sysctls"], "net.ipv4.tcp_syncookies": "many"}}
    by_host = {"debian-13": {"kernel": bad}, "debian-12": {"kernel": KEPT}}

    outcome = ground.fleet.run(*ground.nodes, data={}, by_host=by_host, deploy=ground.deploy)

    assert outcome.code == 1
    said = "kernel.surface: net.ipv4.tcp_syncookies on debian-13: the kernel refuses 'many'"
    assert said in outcome.text
    assert "the value stays '1'; nothing was changed" in outcome.text
    assert whole(node) == before
    assert strong(ground.nodes["debian-12"]) == STRONG


@pytest.mark.slow
def test_what_is_dropped_is_given_back_alone_and_what_is_not_ours_any_more_is_left(
    ground: Ground, node: LabNode
) -> None:
    ground.have(KEPT, "debian-13")

    fewer = ground.have({"sysctls": {**KEPT["sysctls"], KEY: None}}, "debian-13")
    kept = strong(node)
    node.exec("sysctl", "-qw", "net.ipv4.tcp_syncookies=0")
    gone = ground.have(None, "debian-13")
    after = strong(node)
    node.exec("sysctl", "-qw", "net.ipv4.tcp_syncookies=1")

    assert f"{KEY}: 0 -> 1, its value before this package" in fewer.stderr
    assert kept == {**STRONG, KEY: "1"}
    assert (
        "net.ipv4.tcp_syncookies: left at 0, somebody has changed it since we set it" in gone.stderr
    )
    assert after["net.ipv4.tcp_syncookies"] == "0"
    assert after["net.ipv4.conf.default.send_redirects"] == "1"
