"""Virtual machines as nodes: by which accelerator, as which process, and what QEMU is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.lab import FLAVOURS, LabError, NodeSpec, node_specs, qemu, recipe
from pyinfra_gvisor.lab.qemu import Guest, Kernel

KERNEL = Kernel(Path("/k/vmlinuz"), Path("/k/initrd.img"))
TRIXIE = FLAVOURS["debian-13"]
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
    path = tmp_path / qemu.PROGRAM
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

    with pytest.raises(LabError, match=r"not installed; run \.ci/setup vm"):
        guest(tmp_path).start()


def test_the_kind_of_nodes_is_chosen_and_another_word_refused() -> None:
    assert node_specs({"GVISOR_LAB_KIND": "vm", "GVISOR_LAB_NODES": "1"}) == [
        NodeSpec(TRIXIE, kind="vm")
    ]
    with pytest.raises(LabError, match="GVISOR_LAB_KIND: wants container or vm, got pod"):
        node_specs({"GVISOR_LAB_KIND": "pod"})


def test_a_machine_is_no_container_of_the_same_flavour() -> None:
    label = recipe.spec_label(NodeSpec(TRIXIE, kind="vm"))

    assert label == f"vm-{recipe.disk_name(TRIXIE)}"
    assert recipe.is_disk_of(TRIXIE, recipe.disk_name(TRIXIE))
    assert not recipe.is_disk_of(TRIXIE, recipe.disk_name(FLAVOURS["debian-13-docker-28"]))


def test_its_disk_has_a_kernel_besides_the_packages_of_a_container() -> None:
    words = recipe.disk_command(TRIXIE, prepare="p", prepare_vm="v", root="/r")

    (packages,) = [word for word in words if word.startswith("--include=")]
    assert "linux-image-cloud-amd64" in packages
    assert set(recipe.PACKAGES) < set(packages.removeprefix("--include=").split(","))
    assert words[-1] == "/r"
