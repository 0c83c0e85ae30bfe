"""Disks of virtual machines: made once per recipe, each node writes to a layer above."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from pyinfra_gvisor.lab import recipe
from pyinfra_gvisor.lab.build import Tell, building
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.qemu import Kernel
from pyinfra_gvisor.lab.spec import OWN_ARCH, Flavour, LabError

SIZE = "12G"
"""Of the file system. The file has holes: it takes what is written."""

_NAMESPACED_FORMATS = (6, 7)

_SCRIPTS = ("prepare.sh", "prepare-vm.sh", "emulating.sh")


@dataclass(frozen=True)
class Disk:
    """A file system that is never written to, and the kernel that lies in it."""

    image: Path
    kernel: Kernel


def ensure_disk(flavour: Flavour, arch: str, *, cache: Cache, tell: Tell) -> Disk:
    """Have the disk of ``flavour``. Whoever comes second waits for the first."""
    flavour = recipe.image_flavour(flavour)
    home = cache.disks / recipe.disk_name(flavour, arch)
    with cache.lock(f"disk-{flavour.name}"):
        if not home.is_dir():
            _build(flavour, arch, home, cache=cache, tell=tell)
        for other in cache.disks.iterdir():
            if other != home and recipe.is_same_disk(other.name, home.name):
                shutil.rmtree(other)  # of an older recipe; who uses it has it open
    return Disk(home / "disk.raw", Kernel(home / "vmlinuz", home / "initrd.img", arch))


def add_layer(disk: Disk, path: Path) -> None:
    """Make ``path`` a disk that begins as ``disk``. Raises ``LabError``."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk.image)]
    try:
        subprocess.run([*command, str(path)], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LabError("lab: qemu-img: not installed", todo="run .ci/setup vm") from error
    except subprocess.CalledProcessError as error:
        raise LabError(f"lab: {path}: cannot be made", because=error.stderr) from error


def _emulating(arch: str, script: str) -> list[str]:
    """
    Return the beginning of a command that can start programs of ``arch``.

    A user namespace has binary formats of its own since Linux 6.7: "binfmt_misc: enable sandboxed
    mounts" in its log. Raises ``LabError``.
    """
    if _kernel() < _NAMESPACED_FORMATS:
        what = "lab: an emulated machine's disk is made on Linux 6.7 or later"
        raise LabError(what, got=platform.release(), todo="use another machine")
    formats = Path(f"/usr/lib/binfmt.d/qemu-{arch}.conf")
    if not formats.is_file():
        todo = f"run GVISOR_LAB_ARCH={arch} .ci/setup vm"
        raise LabError(f"lab: {formats}: qemu-user-static is not installed", todo=todo)
    return ["sh", script, str(formats)]


def _kernel() -> tuple[int, int]:
    major, minor = platform.release().split(".")[:2]
    return int(major), int(minor)


def _build(flavour: Flavour, arch: str, home: Path, *, cache: Cache, tell: Tell) -> None:
    if shutil.which("mmdebstrap") is None:
        raise LabError("lab: mmdebstrap: not installed", todo="run .ci/setup vm")
    began_s = monotonic()
    tell(f"building the disk {home.name} with mmdebstrap, once")
    with building(f"disk-{flavour.name}", cache=cache, tell=tell) as build:
        root, made = build.directory / "root", build.directory / "made"
        for directory in (root, made):
            directory.mkdir()
        scripts = [build.directory / name for name in _SCRIPTS]
        for path in scripts:
            path.write_text(recipe.resource(path.name), encoding="utf-8")
        prepare, prepare_vm, emulating = map(str, scripts)
        command = recipe.disk_command(
            flavour, arch, prepare=prepare, prepare_vm=prepare_vm, root=str(root)
        )
        build.run(
            command if arch == OWN_ARCH else [*_emulating(arch, emulating), *command],
            progress=recipe.purpose,
            environment={"TMPDIR": str(build.directory)},
        )
        for link in ("vmlinuz", "initrd.img"):
            shutil.copy(root / link, made / link)
        build.run(
            ["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(made / "disk.raw"), SIZE],
            progress=lambda _: None,
        )
        build.keep(made, home)
    tell(f"built {home.name} in {monotonic() - began_s:.0f} s")
