"""Virtual machines as nodes: by which accelerator, as which process, and what QEMU is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.lab import FLAVOURS, LabError, NodeSpec, node_specs, qemu, recipe
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.disk import ensure_disk
from pyinfra_gvisor.lab.qemu import HARDWARE, Guest, Kernel
from pyinfra_gvisor.lab.spec import OWN_ARCH
from pyinfra_gvisor.releases import ARCHES
from tests.unit.lab_machine import ROOT_ONLY

KERNEL = Kernel(Path("/k/vmlinuz"), Path("/k/initrd.img"))
TRIXIE = FLAVOURS["debian-13"]
(OTHER,) = {*ARCHES} - {OWN_ARCH}
BOOTS = "#!/bin/sh\necho '[    0.000000] Linux version 6.12'\n"
FAILS = "#!/bin/sh\necho 'KVM: entry failed' >&2\nexit 1\n"


def guest(directory: Path, accelerator: qemu.Accelerator = "tcg") -> Guest:
    """A machine whose files lie in ``directory``."""
    return Guest("lab-1", directory, KERNEL, 20_022, accelerator)


@pytest.fixture
def qemu_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is started as QEMU; ``/dev/kvm`` may be used."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(qemu.os, "access", lambda *_: True)
    path = tmp_path / KERNEL.hardware.program
    path.write_text(FAILS)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("program", "expected"),
    [pytest.param(BOOTS, "kvm", id="a-guest-boots"), pytest.param(FAILS, "tcg", id="none-does")],
)
def test_kvm_is_used_where_a_guest_was_seen_to_boot_by_it_and_tried_once(
    qemu_is: Path, tmp_path: Path, program: str, expected: str
) -> None:
    kept = tmp_path / "accelerator"
    qemu_is.write_text(program)

    first = qemu.accelerator(KERNEL, kept)
    qemu_is.unlink()
    second = qemu.accelerator(KERNEL, kept)

    assert (first, second) == (expected, expected)


def test_what_was_seen_before_the_last_boot_is_tried_again(qemu_is: Path, tmp_path: Path) -> None:
    kept = tmp_path / "accelerator"
    kept.write_text("another-boot kvm\n")

    assert qemu.accelerator(KERNEL, kept) == "tcg"
    assert qemu_is.exists()


def test_a_machine_without_kvm_is_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu.os, "access", lambda *_: False)

    assert qemu.accelerator(KERNEL, tmp_path / "accelerator") == "tcg"


def test_qemu_forwards_ssh_alone_and_from_this_machine_alone(tmp_path: Path) -> None:
    words = guest(tmp_path).command()

    assert "user,id=net,hostfwd=tcp:127.0.0.1:20022-:22" in words
    assert [word for word in words if "hostfwd" in word] == [words[words.index("-netdev") + 1]]
    assert words[words.index("-accel") + 1] == "tcg,thread=multi"
    assert guest(tmp_path, "kvm").command()[-1] == words[-1]


def test_another_process_by_the_number_in_the_file_is_not_touched(tmp_path: Path) -> None:
    with subprocess.Popen(["/usr/bin/sleep", "60"]) as other:
        (tmp_path / "pid").write_text(f"{other.pid}\n")

        found = guest(tmp_path).process()
        guest(tmp_path).kill()

        assert (found, other.poll()) == (None, None)
        other.kill()


def test_the_power_is_cut_at_once(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    words = ["sh", "-c", "trap '' TERM; echo; read x", "sh", str(pid)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout
        started.stdout.readline()
        pid.write_text(f"{started.pid}\n")
        assert guest(tmp_path).process() == started.pid

        guest(tmp_path).kill()

        assert guest(tmp_path).process() is None
    assert started.returncode == -9


def test_without_qemu_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        LabError, match=rf"not installed; run GVISOR_LAB_ARCH={OWN_ARCH} \.ci/setup vm"
    ):
        guest(tmp_path).start()


def test_the_kind_of_nodes_is_chosen_and_another_word_refused() -> None:
    assert node_specs({"GVISOR_LAB_KIND": "vm", "GVISOR_LAB_NODES": "1"}) == [
        NodeSpec(TRIXIE, kind="vm")
    ]
    with pytest.raises(LabError, match="GVISOR_LAB_KIND: expected container or vm, got pod"):
        node_specs({"GVISOR_LAB_KIND": "pod"})


def test_a_machine_is_no_container_of_the_same_flavour() -> None:
    label = recipe.spec_label(NodeSpec(TRIXIE, kind="vm"))

    assert label == f"vm-{recipe.disk_name(TRIXIE, OWN_ARCH)}"


@pytest.mark.parametrize(
    ("name", "same"),
    [
        pytest.param("debian-13-x86_64-0123456789ab", True, id="another-recipe"),
        pytest.param("debian-13-aarch64-0123456789ab", False, id="another-architecture"),
        pytest.param("debian-13-docker-28-x86_64-0123456789ab", False, id="another-flavour"),
    ],
)
def test_a_disk_takes_the_place_of_its_own_kind_only(name: str, same: bool) -> None:
    assert recipe.is_same_disk(name, recipe.disk_name(TRIXIE, "x86_64")) is same


@pytest.mark.parametrize(
    ("arch", "debians"),
    [pytest.param("x86_64", "amd64", id="x86_64"), pytest.param("aarch64", "arm64", id="aarch64")],
)
def test_its_disk_has_a_kernel_besides_the_packages_of_a_container(arch: str, debians: str) -> None:
    words = recipe.disk_command(TRIXIE, arch, prepare="p", prepare_vm="v", root="/r")

    (packages,) = [word for word in words if word.startswith("--include=")]
    assert f"linux-image-cloud-{debians}" in packages
    assert f"--architectures={debians}" in words
    assert set(recipe.PACKAGES) < set(packages.removeprefix("--include=").split(","))
    assert words[-1] == "/r"


def test_another_architecture_is_emulated_whatever_this_machine_can(
    qemu_is: Path, tmp_path: Path
) -> None:
    qemu_is.write_text(BOOTS)
    kernel = Kernel(Path("/k/vmlinuz"), Path("/k/initrd.img"), OTHER)

    chosen = qemu.accelerator(kernel, tmp_path / "accelerator")
    words = Guest("lab-1", tmp_path, kernel, 20_022, chosen).command()

    assert chosen == "tcg"
    assert words[0] == f"qemu-system-{OTHER}"
    assert f"console={HARDWARE[OTHER].console} " in words[-1]


def test_the_architecture_of_machines_is_chosen() -> None:
    chosen = {"GVISOR_LAB_ARCH": OTHER, "GVISOR_LAB_KIND": "vm"}

    assert node_specs(chosen) == [NodeSpec(TRIXIE, kind="vm", arch=OTHER)] * 2


@pytest.mark.parametrize(
    ("others", "says"),
    [
        pytest.param(
            {"GVISOR_LAB_ARCH": "arm64"}, "expected x86_64 or aarch64, got arm64", id="word"
        ),
        pytest.param({}, "must be a virtual machine; set GVISOR_LAB_KIND=vm", id="container"),
        pytest.param(
            {"GVISOR_LAB_KIND": "vm", "GVISOR_LAB_FLAVOURS": "debian-13-docker-29"},
            "cannot have the lab's Docker, got debian-13-docker-29",
            id="docker",
        ),
    ],
)
def test_an_architecture_that_cannot_be_had_is_refused(others: dict[str, str], says: str) -> None:
    with pytest.raises(LabError, match=says):
        node_specs({"GVISOR_LAB_ARCH": OTHER, **others})


@ROOT_ONLY
def test_without_what_runs_the_other_programs_no_disk_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    monkeypatch.setattr("pyinfra_gvisor.lab.disk.shutil.which", lambda _: "/usr/bin/mmdebstrap")
    cache = Cache(tmp_path)

    with pytest.raises(LabError, match=f"not installed; run GVISOR_LAB_ARCH={OTHER} "):
        ensure_disk(TRIXIE, OTHER, cache=cache, tell=lambda _: None)
    assert not [*cache.disks.iterdir()]
