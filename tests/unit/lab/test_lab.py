"""What a lab is told to be, its nodes, virtual machines, and the Docker that can run them."""

import os
import re
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import Mock

import pytest
from docker.errors import APIError
from requests import Response

from pyinfra_gvisor.releases import ARCHES
from tests.table import table
from tests.unit.lab.lab_machine import ROOT_ONLY
from tests.unit.shells import stub
from tools.lab import LabNode, Ran, qemu, recipe
from tools.lab.actions import why_it_cannot
from tools.lab.cache import Cache
from tools.lab.containers import ContainerNode
from tools.lab.disk import ensure_disk
from tools.lab.make import probe_image
from tools.lab.qemu import Guest, Kernel
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
(OTHER,) = {*ARCHES} - {OWN_ARCH}
KERNEL = Kernel(Path("/k/vmlinuz"), Path("/k/initrd.img"))
EMULATED = "mitigations=off init_on_alloc=0 norandmaps"

ON_CGROUP_V1 = {
    "container": "docker",
    "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE": "1",
    "SYSTEMD_PROC_CMDLINE": (
        "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
    ),
}


@table(
    "environment, name, specs",
    nothing=({}, "gvisor-lab", [NodeSpec(TRIXIE), NodeSpec(TRIXIE, lived_in=True)]),
    empty=(
        {"GVISOR_LAB_NAME": "", "GVISOR_LAB_NODES": "", "GVISOR_LAB_FLAVOURS": ""},
        *("gvisor-lab", [NodeSpec(TRIXIE), NodeSpec(TRIXIE, lived_in=True)]),
    ),
    flavours_in_turn=(
        {"GVISOR_LAB_NODES": "3", "GVISOR_LAB_FLAVOURS": "debian-12, debian-13-docker-28"},
        "gvisor-lab",
        [NodeSpec(BOOKWORM), NodeSpec(FORKY_DOCKER, lived_in=True), NodeSpec(BOOKWORM)],
    ),
    kind_and_longest_name=(
        {"GVISOR_LAB_NAME": "l" * 40, "GVISOR_LAB_KIND": "vm", "GVISOR_LAB_NODES": "1"},
        *("l" * 40, [NodeSpec(TRIXIE, kind="vm")]),
    ),
    architecture=(
        {"GVISOR_LAB_ARCH": OTHER, "GVISOR_LAB_KIND": "vm"},
        *("gvisor-lab", [NodeSpec(TRIXIE, kind="vm", arch=OTHER)] * 2),
    ),
)
def test_settings_choose_the_nodes(
    environment: dict[str, str], name: str, specs: list[NodeSpec]
) -> None:
    assert (lab_name(environment), node_specs(environment)) == (name, specs)
    assert len(f"{name}-{NODES_MAX}") <= 63, "no host name"


@table(
    "environment, message",
    {
        "no-nodes": ({"NODES": "0"}, r"GVISOR_LAB_NODES: expected a number from 1 to 30, got 0$"),
        "too-many": ({"NODES": "31"}, "30, got 31$"),
        "negative": ({"NODES": "-1"}, "30, got -1$"),
        "a-word": ({"NODES": "two"}, "30, got two$"),
        "superscript": ({"NODES": "²"}, "30, got ²$"),
        "flavour": (
            {"FLAVOURS": "debian-11"},
            "GVISOR_LAB_FLAVOURS: expected debian-13 or debian-12 or .*, got debian-11$",
        ),
        "empty-flavour": ({"FLAVOURS": "debian-13,"}, "got ''$"),
        "kind": ({"KIND": "pod"}, "GVISOR_LAB_KIND: expected container or vm, got pod$"),
        "architecture": ({"ARCH": "arm64"}, "expected x86_64 or aarch64, got arm64$"),
        "emulated-container": ({"ARCH": OTHER}, "must be a virtual machine; set GVISOR_LAB_KIND"),
        "emulated-docker": (
            {"ARCH": OTHER, "KIND": "vm", "FLAVOURS": "debian-13-docker-29"},
            "cannot have the lab's Docker, got debian-13-docker-29",
        ),
        **{
            repr(name): ({"NAME": name}, "GVISOR_LAB_NAME: ")
            for name in ("Lab", "-rf", "a_b", "lab-", "a--b", "../lab", "lab\n", "l" * 41)
        },
    },
)
def test_settings_that_make_no_sense_are_refused(environment: dict[str, str], message: str) -> None:
    given = {f"GVISOR_LAB_{name}": value for name, value in environment.items()}

    with pytest.raises(LabError, match=message):
        (lab_name(given), node_specs(given))


def test_every_flavour_but_those_that_share_one_has_an_image_of_its_own_and_none_a_mirror() -> None:
    own = [flavour for flavour in FLAVOURS.values() if flavour.image is None]
    commands = [
        recipe.mmdebstrap_command(flavour, prepare="p", tar="t") for flavour in FLAVOURS.values()
    ]
    scripts = [recipe.resource(name) for name in ("prepare.sh", "later-docker.sh", "add.sh")]

    tags = {recipe.image_tag(flavour) for flavour in own}

    assert len(tags) == len(own)
    assert all(re.fullmatch(r"pyinfra-gvisor-lab:debian-[a-z0-9-]+-[0-9a-f]{12}", t) for t in tags)
    assert {recipe.image_tag(flavour) for flavour in FLAVOURS.values()} == tags
    assert not [text for text in (*map(str, commands), *scripts) if "://" in text]


@table(
    "other",
    suite=NodeSpec(replace(TRIXIE, suite="sid")),
    package=NodeSpec(replace(TRIXIE, packages=(*TRIXIE.packages, "vim"))),
    docker_suite=NodeSpec(replace(TRIXIE, docker_suite="sid")),
    lived_in=NodeSpec(lived_in=True),
    without_systemd=NodeSpec(SYSVINIT),
    machine=NodeSpec(kind="vm"),
)
def test_another_recipe_is_another_node(other: NodeSpec) -> None:
    assert recipe.spec_label(other) != recipe.spec_label(NodeSpec())


@table(
    "spec, file",
    image=(NodeSpec(), "prepare.sh"),
    lived_in=(NodeSpec(lived_in=True), "lived-in.json"),
    image_of_the_base=(NodeSpec(FORKY_DOCKER), "prepare.sh"),
    later_docker=(NodeSpec(FORKY_DOCKER), "later-docker.sh"),
    addition=(NodeSpec(FORKY_DOCKER), "add.sh"),
    machine=(NodeSpec(kind="vm"), "prepare-vm.sh"),
)
def test_an_edited_file_of_the_recipe_is_another_node(
    spec: NodeSpec, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, original = recipe.spec_label(spec), recipe.resource
    edited = {file: f"{original(file)}# edited"}

    monkeypatch.setattr(recipe, "resource", lambda name: edited.get(name) or original(name))

    assert recipe.spec_label(spec) != before


def test_only_what_a_flavour_has_more_is_added_to_the_image_of_its_base() -> None:
    more = replace(FORKY_DOCKER, base=FORKY_DOCKER.name, packages=(*FORKY_DOCKER.packages, "jq"))

    later, added = recipe.additions(FORKY_DOCKER)[1:], recipe.additions(more)[1:]

    docker = ["later-docker.sh", "/", "trixie", "forky"]
    assert [command[3:] for command in later] == [docker, ["add.sh"]]
    assert [command[3:] for command in added] == [["add.sh", "jq"]]


@table(
    "flavour, cgroup_version, expected",
    systemd_257_on_v1=(TRIXIE, 1, ON_CGROUP_V1),
    systemd_257_on_v2=(TRIXIE, 2, {"container": "docker"}),
    no_systemd_on_v1=(SYSVINIT, 1, {"container": "docker"}),
    systemd_252_on_v1=(BOOKWORM, 1, {"container": "docker"}),
    systemd_252_on_v2=(BOOKWORM, 2, {"container": "docker"}),
)
def test_only_a_new_systemd_on_cgroup_v1_has_to_be_forced(
    flavour: Flavour, cgroup_version: int, expected: dict[str, str]
) -> None:
    assert recipe.boot_environment(flavour, cgroup_version=cgroup_version) == expected


def test_the_lived_in_daemon_json_is_odd_on_purpose_and_the_probe_image_holds_no_files(
    tmp_path: Path,
) -> None:
    text, path = recipe.resource("lived-in.json"), tmp_path / "probe.tar"
    path.write_bytes(probe_image())

    assert not text.endswith("\n")
    assert "\n\t" in text
    assert '"runtimeArgs": ["--network=host", "--platform=ptrace"]' in text
    with tarfile.open(path) as archive:
        assert all(member.issym() or member.isdir() for member in archive)


def test_nobody_else_can_read_the_cache_its_key_is_made_once_and_its_place_is_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cache, relative = (Cache.of({"XDG_CACHE_HOME": it}) for it in (str(tmp_path), "relative"))

    first, second = cache.public_key(), cache.public_key()

    assert cache.root == tmp_path / "pyinfra-gvisor"
    assert [path.stat().st_mode & 0o777 for path in (cache.root, cache.key)] == [0o700, 0o600]
    assert first == second
    assert first.startswith("ssh-ed25519 ")
    assert relative.root == tmp_path / ".cache" / "pyinfra-gvisor"


def test_clearing_the_cache_keeps_parts_and_what_is_known_about_dockerd(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.known_hosts("lab").write_text("")
    cache.parts.mkdir()
    for name in ("runsc.deb", "dockerd.started", "parts/kept"):
        (cache.root / name).write_text("")

    cache.clear()

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"dockerd.started", "parts", "parts/kept"}


BOOTS = "echo '[    0.000000] Linux version 6.12'\n"
FAILS = "echo 'KVM: entry failed' >&2\nexit 1\n"


def guest(directory: Path, accelerator: qemu.Accelerator = "tcg", arch: str = OWN_ARCH) -> Guest:
    """A machine whose files lie in ``directory``."""
    return Guest("lab-1", directory, replace(KERNEL, arch=arch), 20_022, accelerator)


@table(
    "program, access, kept, arch, expected",
    a_guest_boots=(BOOTS, True, "", OWN_ARCH, "kvm"),
    none_does=(FAILS, True, "", OWN_ARCH, "tcg"),
    booted_since=(FAILS, True, "another-boot kvm\n", OWN_ARCH, "tcg"),
    without_kvm=(BOOTS, False, "", OWN_ARCH, "tcg"),
    another_architecture=(BOOTS, True, "", OTHER, "tcg"),
)
def test_kvm_is_used_where_a_guest_was_seen_to_boot_by_it_and_tried_once(
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    access: bool,
    kept: str,
    arch: str,
    expected: str,
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("tools.lab.qemu.os.access", lambda *_: access)
    kernel, file = replace(KERNEL, arch=arch), tmp_path / "accelerator"
    stub(tmp_path, kernel.hardware.program, program)
    file.write_text(kept)

    first = qemu.accelerator(kernel, file)
    (tmp_path / kernel.hardware.program).unlink()
    second = qemu.accelerator(kernel, file)

    assert (first, second) == (expected, expected)


@table(
    "arch, accelerator, processor, more",
    tcg=("x86_64", "tcg", "Nehalem 1", f"ttyS0 * {EMULATED}"),
    kvm=("x86_64", "kvm", "host 2", "ttyS0 *"),
    aarch64=("aarch64", "tcg", "neoverse-n1 1", f"ttyAMA0 * {EMULATED}"),
)
def test_an_emulated_machine_alone_is_made_faster_and_ssh_is_forwarded_from_here_alone(
    tmp_path: Path, arch: str, accelerator: qemu.Accelerator, processor: str, more: str
) -> None:
    words = guest(tmp_path, accelerator, arch).command()

    kind, number = processor.split()
    given = {option: words[words.index(option) + 1] for option in ("-accel", "-cpu", "-smp")}
    assert words[0] == f"qemu-system-{arch}"
    assert given == {"-accel": accelerator, "-cpu": kind, "-smp": number}
    assert words[-1] == (
        "root=/dev/vda rw net.ifnames=0 quiet systemd.show_status=no console="
        + more.replace("*", "systemd.hostname=lab-1")
    )
    assert words[words.index("-netdev") + 1] == "user,id=net,hostfwd=tcp:127.0.0.1:20022-:22"
    assert len([word for word in words if "hostfwd" in word]) == 1


def test_the_power_is_cut_at_once_and_another_process_of_the_number_not_touched(
    tmp_path: Path,
) -> None:
    pid = tmp_path / "pid"
    words = ["sh", "-c", "trap '' TERM; echo; read x", "sh", str(pid)]
    with subprocess.Popen(["/usr/bin/sleep", "60"]) as other:
        pid.write_text(f"{other.pid}\n")
        found = guest(tmp_path).process()
        guest(tmp_path).kill()
        assert (found, other.poll()) == (None, None)
        other.kill()

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


@table("arch, debians", {"x86_64": ("x86_64", "amd64"), "aarch64": ("aarch64", "arm64")})
def test_its_disk_has_a_kernel_too_and_takes_the_place_of_its_own_kind_only(
    arch: str, debians: str
) -> None:
    words = recipe.disk_command(TRIXIE, arch, prepare="p", prepare_vm="v", root="/r")
    others = ("debian-13-x86_64-", "debian-13-aarch64-", "debian-13-docker-28-x86_64-")
    name = recipe.disk_name(TRIXIE, arch)

    (packages,) = [word for word in words if word.startswith("--include=")]
    assert f"linux-image-cloud-{debians}" in packages
    assert f"--architectures={debians}" in words
    assert set(recipe.PACKAGES) < set(packages.removeprefix("--include=").split(","))
    assert words[-1] == "/r"
    same = [other for other in others if recipe.is_same_disk(f"{other}0123456789ab", name)]
    assert same == [f"debian-13-{arch}-"]


@ROOT_ONLY
def test_without_what_runs_the_other_programs_no_disk_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    cache = Cache(tmp_path)

    with pytest.raises(LabError, match=f"not installed; run GVISOR_LAB_ARCH={OTHER} "):
        ensure_disk(TRIXIE, OTHER, cache=cache, tell=lambda _: None)
    assert not [*cache.disks.iterdir()]


CAPS = "OCI runtime create failed: unable to apply caps:\n operation not permitted: unknown"


def refusal(code: int) -> APIError:
    """What docker-py raises for an answer with that status."""
    answer = Response()
    answer.status_code = code
    return APIError("refused", response=answer, explanation=CAPS)


@table("code", starts=None, refused=400, failed=500)
def test_one_that_starts_a_privileged_container_can_or_says_why_not(code: int | None) -> None:
    docker = Mock()
    docker.containers.create.return_value.start.side_effect = code and refusal(code)

    why = why_it_cannot(docker)

    assert why == (code and CAPS.replace("\n", ""))
    ((_, created),) = docker.containers.create.call_args_list
    ((_, imported),) = docker.api.import_image.call_args_list
    docker.containers.create.return_value.remove.assert_called_once_with(force=True)
    docker.images.remove.assert_called_once_with(imported["repository"], force=True)
    assert created["privileged"] is True


def test_one_that_cannot_be_tried_is_no_answer_and_what_is_no_text_in_one_is_replaced() -> None:
    docker = Mock()
    docker.api.import_image.side_effect = refusal(500)  # such as a full disk
    node = Mock(run=lambda _: CompletedProcess([], 3, b"\xc3\xa9\xff", b"wrong"))

    with pytest.raises(LabError, match="lab: docker: cannot test privileged containers"):
        why_it_cannot(docker)
    assert LabNode.exec(node, "x") == Ran(3, "é\N{REPLACEMENT CHARACTER}", "wrong")


@table("pid", does_not_run=0, another_process=os.getpid())
def test_a_container_that_cannot_be_entered_is_an_error(pid: int) -> None:
    container = Mock(id="c1", status="running", attrs={"State": {"Pid": pid}})
    node = ContainerNode("lab-1", NodeSpec(), 22, Path("key"), Path("known"), container)

    with pytest.raises(LabError, match="lab-1: its namespaces cannot be entered; start it, "):
        node.exec("true")
    container.reload.assert_called_once_with()
