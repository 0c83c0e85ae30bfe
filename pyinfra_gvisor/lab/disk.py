"""Disks of virtual machines: made once per recipe, each node writes to a layer above."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from pyinfra_gvisor.lab import recipe
from pyinfra_gvisor.lab.build import Tell, building
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.qemu import Kernel
from pyinfra_gvisor.lab.spec import Flavour, LabError

SIZE = "12G"
"""Of the file system. The file has holes: it takes what is written."""


@dataclass(frozen=True)
class Disk:
    """A file system that is never written to, and the kernel that lies in it."""

    image: Path
    kernel: Kernel


def ensure_disk(flavour: Flavour, *, cache: Cache, tell: Tell) -> Disk:
    """Have the disk of ``flavour``. Whoever comes second waits for the first."""
    flavour = recipe.image_flavour(flavour)
    name = recipe.disk_name(flavour)
    home = cache.disks / name
    with cache.lock(f"disk-{flavour.name}"):
        if not home.is_dir():
            _build(flavour, home, cache=cache, tell=tell)
        for other in cache.disks.glob(f"{flavour.name}-*"):
            if other != home and recipe.is_disk_of(flavour, other.name):
                shutil.rmtree(other)  # of an older recipe; who uses it has it open
    return Disk(home / "disk.raw", Kernel(home / "vmlinuz", home / "initrd.img"))


def add_layer(disk: Disk, path: Path) -> None:
    """Make ``path`` a disk that begins as ``disk``. Raises ``LabError``."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk.image)]
    try:
        subprocess.run([*command, str(path)], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LabError("lab: qemu-img: not installed", todo="run .ci/setup vm") from error
    except subprocess.CalledProcessError as error:
        raise LabError(f"lab: {path}: cannot be made", because=error.stderr) from error


def _build(flavour: Flavour, home: Path, *, cache: Cache, tell: Tell) -> None:
    if shutil.which("mmdebstrap") is None:
        raise LabError("lab: mmdebstrap: not installed", todo="run .ci/setup vm")
    began_s = monotonic()
    tell(f"building the disk {home.name} with mmdebstrap, once")
    with building(f"disk-{flavour.name}", cache=cache, tell=tell) as build:
        root, made = build.directory / "root", build.directory / "made"
        for directory in (root, made):
            directory.mkdir()
        hooks = {name: build.directory / name for name in ("prepare.sh", "prepare-vm.sh")}
        for name, path in hooks.items():
            path.write_text(recipe.resource(name), encoding="utf-8")
        prepare, prepare_vm = map(str, hooks.values())
        command = recipe.disk_command(
            flavour, prepare=prepare, prepare_vm=prepare_vm, root=str(root)
        )
        build.run(command, progress=recipe.purpose, environment={"TMPDIR": str(build.directory)})
        for link in ("vmlinuz", "initrd.img"):
            shutil.copy(root / link, made / link)
        build.run(
            ["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(made / "disk.raw"), SIZE],
            progress=lambda _: None,
        )
        build.keep(made, home)
    tell(f"built {home.name} in {monotonic() - began_s:.0f} s")
