"""What a lab is told to be, the recipe of its nodes, and virtual machines."""

from __future__ import annotations

import re
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from pyinfra_gvisor.releases import ARCHES
from tests.table import table
from tests.unit.lab.lab_machine import ROOT_ONLY
from tools.lab import qemu, recipe
from tools.lab.cache import Cache, write_atomically
from tools.lab.disk import ensure_disk
from tools.lab.make import probe_image
from tools.lab.qemu import HARDWARE, Guest, Kernel
from tools.lab.spec import (
    FLAVOURS,
    NODES_MAX,
    OWN_ARCH,
    Flavour,
    LabError,
    NodeSpec,
    lab_name,
    node_specs,
)

TRIXIE = FLAVOURS["debian-13"]
BOOKWORM = FLAVOURS["debian-12"]
FORKY_DOCKER = FLAVOURS["debian-13-docker-28"]
SYSVINIT = FLAVOURS["debian-13-sysvinit"]

ON_CGROUP_V1 = {
    "container": "docker",
    "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE": "1",
    "SYSTEMD_PROC_CMDLINE": (
        "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
    ),
}


def test_without_settings_there_are_a_plain_node_and_a_lived_in_one() -> None:
    specs = node_specs({})

    assert specs == [NodeSpec(TRIXIE), NodeSpec(TRIXIE, lived_in=True)]
    assert lab_name({}) == "gvisor-lab"


def test_an_empty_setting_is_no_setting() -> None:
    empty = {"GVISOR_LAB_NAME": "", "GVISOR_LAB_NODES": "", "GVISOR_LAB_FLAVOURS": ""}

    assert node_specs(empty) == node_specs({})
    assert lab_name(empty) == lab_name({})


def test_flavours_are_dealt_out_in_turn() -> None:
    environment = {"GVISOR_LAB_NODES": "3", "GVISOR_LAB_FLAVOURS": "debian-12, debian-13-docker-28"}

    specs = node_specs(environment, lived_in={1, 3})

    used = NodeSpec(BOOKWORM, lived_in=True)
    assert specs == [used, NodeSpec(FORKY_DOCKER), used]


@table(
    "environment, message",
    {
        "no-nodes": ({"GVISOR_LAB_NODES": "0"}, r"number from 1 to 30, got 0$"),
        "too-many": ({"GVISOR_LAB_NODES": "31"}, r"number from 1 to 30, got 31$"),
        "negative": ({"GVISOR_LAB_NODES": "-1"}, r"GVISOR_LAB_NODES: .*got -1$"),
        "a-word": ({"GVISOR_LAB_NODES": "two"}, r"GVISOR_LAB_NODES: .*got two$"),
        "superscript": ({"GVISOR_LAB_NODES": "²"}, r"GVISOR_LAB_NODES: .*got ²$"),
        "unknown-flavour": (
            {"GVISOR_LAB_FLAVOURS": "debian-11"},
            r"unknown flavour, got debian-11; choose from debian-13, debian-12, ",
        ),
        "empty-flavour": ({"GVISOR_LAB_FLAVOURS": "debian-13,"}, r"unknown flavour, got ''; "),
    },
)
def test_nodes_that_make_no_sense_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        node_specs(environment)


@pytest.mark.parametrize(
    "name",
    ["Lab", "-rf", "a_b", "lab-", "a--b", "../lab", "lab\n", "l" * 41],
    ids=repr,
)
def test_a_name_that_cannot_be_a_host_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="GVISOR_LAB_NAME"):
        lab_name({"GVISOR_LAB_NAME": name})


def test_the_longest_name_still_makes_a_host_name() -> None:
    name = lab_name({"GVISOR_LAB_NAME": "l" * 40})

    assert len(f"{name}-{NODES_MAX}") <= 63


def test_every_flavour_but_those_that_share_one_has_an_image_of_its_own() -> None:
    own = [flavour for flavour in FLAVOURS.values() if flavour.image is None]

    tags = {recipe.image_tag(flavour) for flavour in own}

    assert len(tags) == len(own)
    assert all(re.fullmatch(r"pyinfra-gvisor-lab:debian-[a-z0-9-]+-[0-9a-f]{12}", t) for t in tags)


@table(
    "other",
    {
        "suite": Flavour("debian-13", "sid", 257, TRIXIE.packages),
        "package": Flavour("debian-13", "trixie", 257, (*TRIXIE.packages, "vim")),
        "docker-suite": Flavour("debian-13", "trixie", 257, TRIXIE.packages, "sid"),
    },
)
def test_another_recipe_is_another_image(other: Flavour) -> None:
    assert recipe.image_tag(other) != recipe.image_tag(TRIXIE)


@table(
    "flavour, file",
    {
        "image": (TRIXIE, "prepare.sh"),
        "lived-in": (TRIXIE, "lived-in.json"),
        "image-of-the-base": (FORKY_DOCKER, "prepare.sh"),
        "later-docker": (FORKY_DOCKER, "later-docker.sh"),
        "addition": (FORKY_DOCKER, "add.sh"),
    },
)
def test_an_edited_file_of_the_recipe_is_another_node(
    flavour: Flavour, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = NodeSpec(flavour, lived_in=True)
    before = recipe.spec_label(spec)
    original = recipe.resource

    monkeypatch.setattr(
        recipe, "resource", lambda name: original(name) + ("# edited" if name == file else "")
    )

    assert recipe.spec_label(spec) != before


def test_only_what_a_flavour_has_more_is_added_to_the_image_of_its_base() -> None:
    more = replace(FORKY_DOCKER, base=FORKY_DOCKER.name, packages=(*FORKY_DOCKER.packages, "jq"))

    later, added = recipe.additions(FORKY_DOCKER)[1:], recipe.additions(more)[1:]

    docker = ["later-docker.sh", "/", "trixie", "forky"]
    assert [command[3:] for command in later] == [docker, ["add.sh"]]
    assert [command[3:] for command in added] == [["add.sh", "jq"]]


def test_a_lived_in_node_is_not_taken_for_a_plain_one() -> None:
    assert recipe.spec_label(NodeSpec(TRIXIE)) != recipe.spec_label(NodeSpec(TRIXIE, lived_in=True))


def test_a_node_without_systemd_boots_the_same_image_by_another_command() -> None:
    assert recipe.image_tag(SYSVINIT) == recipe.image_tag(TRIXIE)
    assert recipe.boot_command(SYSVINIT) == ["/sbin/lab-init"]
    assert recipe.boot_command(TRIXIE) is None
    assert recipe.spec_label(NodeSpec(SYSVINIT)) != recipe.spec_label(NodeSpec(TRIXIE))


def test_no_mirror_is_named_anywhere() -> None:
    text = "\n".join(
        [
            *(
                "\n".join(recipe.mmdebstrap_command(flavour, prepare="p", tar="t", runsc="r"))
                for flavour in FLAVOURS.values()
            ),
            *(recipe.resource(name) for name in ("prepare.sh", "later-docker.sh", "add.sh")),
        ]
    )

    assert "://" not in text


@table(
    "flavour, cgroup_version, expected",
    {
        "systemd-257-on-v1": (TRIXIE, 1, ON_CGROUP_V1),
        "systemd-257-on-v2": (TRIXIE, 2, {"container": "docker"}),
        "no-systemd-on-v1": (SYSVINIT, 1, {"container": "docker"}),
        "systemd-252-on-v1": (BOOKWORM, 1, {"container": "docker"}),
        "systemd-252-on-v2": (BOOKWORM, 2, {"container": "docker"}),
    },
)
def test_only_a_new_systemd_on_cgroup_v1_has_to_be_forced(
    flavour: Flavour, cgroup_version: int, expected: dict[str, str]
) -> None:
    assert recipe.boot_environment(flavour, cgroup_version=cgroup_version) == expected


def test_the_lived_in_daemon_json_is_odd_on_purpose() -> None:
    text = recipe.resource("lived-in.json")

    assert not text.endswith("\n")
    assert "\n\t" in text
    assert '"runtimeArgs": ["--network=host"]' in text


def test_the_probe_image_holds_nothing_but_links_and_directories(tmp_path: Path) -> None:
    path = tmp_path / "probe.tar"
    path.write_bytes(probe_image())

    with tarfile.open(path) as archive:
        assert all(member.issym() or member.isdir() for member in archive)


def test_nobody_else_can_read_the_cache(tmp_path: Path) -> None:
    cache = Cache.of({"XDG_CACHE_HOME": str(tmp_path)})

    assert cache.root == tmp_path / "pyinfra-gvisor"
    assert cache.root.stat().st_mode & 0o777 == 0o700


def test_a_relative_cache_directory_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    cache = Cache.of({"XDG_CACHE_HOME": "relative"})

    assert cache.root == tmp_path / ".cache" / "pyinfra-gvisor"


def test_the_key_is_made_once(tmp_path: Path) -> None:
    cache = Cache.of({"XDG_CACHE_HOME": str(tmp_path)})

    first, second = cache.public_key(), cache.public_key()

    assert first == second
    assert first.startswith("ssh-ed25519 ")
    assert cache.key.stat().st_mode & 0o777 == 0o600


def test_clearing_the_cache_leaves_only_what_is_known_about_dockerd(tmp_path: Path) -> None:
    cache = Cache.of({"XDG_CACHE_HOME": str(tmp_path)})
    cache.known_hosts("lab").write_text("")
    (cache.root / "runsc.deb").write_text("")
    (cache.root / "dockerd.started").write_text("1 2")

    cache.clear()

    assert [path.name for path in cache.root.iterdir()] == ["dockerd.started"]


def test_writing_the_same_text_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    write_atomically(path, "a\n")
    inode = path.stat().st_ino

    write_atomically(path, "a\n")

    assert path.stat().st_ino == inode


KERNEL = Kernel(Path("/k/vmlinuz"), Path("/k/initrd.img"))
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


@table("program, expected", {"a-guest-boots": (BOOTS, "kvm"), "none-does": (FAILS, "tcg")})
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


@table(
    "accelerator, processor, more",
    tcg=("tcg", "Nehalem", " mitigations=off init_on_alloc=0"),
    kvm=("kvm", "host", ""),
)
def test_an_emulated_machine_alone_is_made_faster(
    tmp_path: Path, accelerator: qemu.Accelerator, processor: str, more: str
) -> None:
    words = guest(tmp_path, accelerator).command()

    given = {option: words[words.index(option) + 1] for option in ("-accel", "-cpu", "-smp")}
    assert given == {"-accel": accelerator, "-cpu": processor, "-smp": "2"}
    assert words[-1] == (
        "root=/dev/vda rw net.ifnames=0 quiet systemd.show_status=no console=ttyS0"
        f" systemd.hostname=lab-1{more}"
    )


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
    chosen = {"GVISOR_LAB_KIND": "vm", "GVISOR_LAB_NODES": "1"}
    assert node_specs(chosen) == [NodeSpec(TRIXIE, kind="vm")]
    with pytest.raises(LabError, match="GVISOR_LAB_KIND: expected container or vm, got pod"):
        node_specs({"GVISOR_LAB_KIND": "pod"})


def test_a_machine_is_no_container_of_the_same_flavour() -> None:
    label = recipe.spec_label(NodeSpec(TRIXIE, kind="vm"))

    assert label == f"vm-{recipe.disk_name(TRIXIE, OWN_ARCH)}"


@table(
    "name, same",
    {
        "another-recipe": ("debian-13-x86_64-0123456789ab", True),
        "another-architecture": ("debian-13-aarch64-0123456789ab", False),
        "another-flavour": ("debian-13-docker-28-x86_64-0123456789ab", False),
    },
)
def test_a_disk_takes_the_place_of_its_own_kind_only(name: str, same: bool) -> None:
    assert recipe.is_same_disk(name, recipe.disk_name(TRIXIE, "x86_64")) is same


@table("arch, debians", {"x86_64": ("x86_64", "amd64"), "aarch64": ("aarch64", "arm64")})
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


@table(
    "others, says",
    {
        "word": ({"GVISOR_LAB_ARCH": "arm64"}, "expected x86_64 or aarch64, got arm64"),
        "container": ({}, "must be a virtual machine; set GVISOR_LAB_KIND=vm"),
        "docker": (
            {"GVISOR_LAB_KIND": "vm", "GVISOR_LAB_FLAVOURS": "debian-13-docker-29"},
            "cannot have the lab's Docker, got debian-13-docker-29",
        ),
    },
)
def test_an_architecture_that_cannot_be_had_is_refused(others: dict[str, str], says: str) -> None:
    with pytest.raises(LabError, match=says):
        node_specs({"GVISOR_LAB_ARCH": OTHER, **others})


@ROOT_ONLY
def test_without_what_runs_the_other_programs_no_disk_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    monkeypatch.setattr("tools.lab.disk.shutil.which", lambda _: "/usr/bin/mmdebstrap")
    cache = Cache(tmp_path)

    with pytest.raises(LabError, match=f"not installed; run GVISOR_LAB_ARCH={OTHER} "):
        ensure_disk(TRIXIE, OTHER, cache=cache, tell=lambda _: None)
    assert not [*cache.disks.iterdir()]
