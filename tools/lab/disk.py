"""Disks of virtual machines: built once for each recipe; each node writes to its own layer."""

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.lab import recipe
from tools.lab.build import Tell, building
from tools.lab.cache import Cache, output_of
from tools.lab.qemu import Kernel
from tools.lab.spec import OWN_ARCH, Flavour, LabError

SIZE = "12G"
"""Size of the file system. The file is sparse: it takes only as much space as is written."""

_NAMESPACED_FORMATS = (6, 7)

_SCRIPTS = ("prepare.sh", "prepare-vm.sh", "emulating.sh", "later-docker.sh")


@dataclass(frozen=True)
class Disk:
    """A base disk, which is never written to, and its kernel."""

    image: Path
    kernel: Kernel


def ensure_disk(flavour: Flavour, arch: str, *, cache: Cache, tell: Tell) -> Disk:
    """Return the disk of ``flavour``; build it if missing. Another process waits meanwhile."""
    flavour = recipe.image_flavour(flavour)
    home = cache.disks / recipe.disk_name(flavour, arch)
    with cache.lock(f"disk-{flavour.name}"):
        if not home.is_dir():
            _build(flavour, arch, home, cache=cache, tell=tell)
        for other in cache.disks.iterdir():
            if other != home and recipe.is_same_disk(other.name, home.name):
                shutil.rmtree(other)  # of an older recipe; a running node keeps it open
    return Disk(home / "disk.raw", Kernel(home / "vmlinuz", home / "initrd.img", arch))


def add_layer(disk: Disk, path: Path) -> None:
    """Make a disk at ``path`` whose initial content is ``disk``. Raise ``LabError``."""
    words = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk.image), str(path)]
    output_of("qemu-img", *words, todo="run .ci/setup vm")


def _emulating(arch: str, script: str) -> list[str]:
    """
    Return the words before a command that let it start programs of another architecture.

    Since Linux 6.7 a user namespace can have its own binary formats ("binfmt_misc: enable
    sandboxed mounts"). Raise ``LabError`` if this machine cannot do that.
    """
    if tuple(map(int, platform.release().split(".")[:2])) < _NAMESPACED_FORMATS:
        what = "lab: the disk of an emulated machine can only be built on Linux 6.7 or later"
        raise LabError(what, got=platform.release(), todo="use another machine")
    formats = Path(f"/usr/lib/binfmt.d/qemu-{arch}.conf")
    if not formats.is_file():
        todo = f"run GVISOR_LAB_ARCH={arch} .ci/setup vm"
        raise LabError(f"lab: {formats}: qemu-user-static is not installed", todo=todo)
    return ["sh", script, str(formats)]


def _build(flavour: Flavour, arch: str, home: Path, *, cache: Cache, tell: Tell) -> None:
    what = f"the disk {home.name} with mmdebstrap"
    with building(what, f"disk-{flavour.name}", cache=cache, tell=tell) as build:
        root = build.directory / "root"
        root.mkdir()
        scripts = [build.directory / name for name in _SCRIPTS]
        for path in scripts:
            path.write_text(recipe.resource(path.name), encoding="utf-8")
        prepare, prepare_vm, emulating, _ = map(str, scripts)
        command = recipe.disk_command(
            flavour, arch, prepare=prepare, prepare_vm=prepare_vm, root=str(root)
        )
        build.run(
            command if arch == OWN_ARCH else [*_emulating(arch, emulating), *command],
            progress=recipe.purpose,
            environment={"TMPDIR": str(build.directory)},
        )
        for link in ("vmlinuz", "initrd.img"):
            shutil.copy(root / link, build.made / link)
        disk = str(build.made / "disk.raw")
        build.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), disk, SIZE])
        build.keep(home)
