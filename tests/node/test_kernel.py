"""The kernel's settings on a real node: nodes share a kernel, so only a namespace's are set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.node.conftest import LAB, lab_of
from tests.node.containers import must
from tests.node.running import Fleet, Outcome
from tests.node.seeing import snapshot
from tools.lab import FLAVOURS, LabNode, NodeSpec

NAME = "debian-13"
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
    """A node, and how the operation is run on it."""

    node: LabNode
    fleet: Fleet
    deploy: Path

    def have(self, kernel: Mapping[str, Any] | None, flags: tuple[str, ...] = ("-y",)) -> Outcome:
        """A run with these settings."""
        return self.fleet.run(NAME, data={"kernel": kernel}, deploy=self.deploy, flags=flags)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A node of its own."""
    directory = tmp_path_factory.mktemp("kernel")
    deploy = directory / "kernel.py"
    deploy.write_text(DEPLOY)
    with lab_of(f"{LAB}-kernel", {NAME: NodeSpec(FLAVOURS[NAME])}) as nodes:
        yield Ground(nodes[NAME], Fleet(nodes, directory), deploy)


@pytest.fixture
def ground(everything: Ground) -> Iterator[Ground]:
    """The same, with nothing of ours on it before and behind a test."""
    yield everything
    if everything.node.exec("ls", KEPT_IN).code == 0:
        gone = everything.have(None)
        assert gone.code == 0, gone.text


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
    ran = must(node, "sysctl", *STRONG)
    return dict(line.split(" = ") for line in ran.splitlines())


def test_everything_is_in_force_a_second_run_changes_nothing_and_removal_gives_all_back(
    ground: Ground,
) -> None:
    node, before = ground.node, whole(ground.node)

    first = ground.have(KEPT)
    stats = node.exec("stat", "-c", "%a %U:%G", MODPROBE, SYSCTL).stdout.splitlines()
    blocked = node.exec("modprobe", "--showconfig").stdout
    there = strong(node)
    second = ground.have(KEPT)
    gone = ground.have(None)
    after = whole(node)
    nothing = ground.have(None)

    assert (first.code, gone.code) == (0, 0), first.text + gone.text
    assert f"{KEY}: 1 -> 0" in first.stderr
    assert "this kernel cannot load modules" in first.stderr
    assert there == STRONG
    assert stats == ["644 root:root"] * 2
    assert blocked.count("\ninstall sctp /bin/false") == 1
    assert "No changes" in second.stderr
    assert "cannot load modules" not in second.text
    assert after == before
    assert "No changes" in nothing.stderr


def test_a_boot_brings_the_settings_back_and_new_bridges_have_them(ground: Ground) -> None:
    first, node = ground.have(KEPT), ground.node

    node.kill()
    node.start()

    assert "interfaces that are already up keep their values until the next boot" in first.stderr
    assert strong(node) == STRONG
    assert node.exec("ip", "link", "add", "shop0", "type", "bridge").code == 0
    new = node.exec("sysctl", "-n", "net.ipv4.conf.shop0.send_redirects").stdout
    node.exec("ip", "link", "del", "shop0")
    assert new == "0\n"
    assert "No changes" in ground.have(KEPT).stderr
