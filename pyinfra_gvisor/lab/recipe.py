"""How a node's root file system is made and booted. Pure: it says what to run, others run it."""

from __future__ import annotations

import hashlib
import shlex
from importlib.resources import files

from pyinfra_gvisor.lab import parts
from pyinfra_gvisor.lab.spec import FLAVOURS, OTHER_NAMES, Flavour, NodeSpec

IMAGE_REPOSITORY = "pyinfra-gvisor-lab"
LABEL = "pyinfra-gvisor.lab"
IMAGE_LABEL = "pyinfra-gvisor.lab-image"
SPEC_LABEL = "pyinfra-gvisor.lab-node"

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "iproute2",
    "ca-certificates",
    "python3-minimal",
    "iptables",
    "nftables",
    "kmod",
    "sudo",
    "procps",
    "bzip2",
)
VIRTUAL_PACKAGES = (
    "linux-image-cloud-{arch}",
    "initramfs-tools",
    "udev",
    "apparmor",
    "libpam-systemd",
    "python3",
)
"""What a virtual machine has besides, as every server has it."""

FORWARDING = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"
"""What Docker's bridge networks need, as sysctl.d(5) has it."""

RUNSC_SUITE = "trixie"
"""The suite whose runsc a lived-in node has. It is linked statically and runs on all of them."""

SYSVINIT = "/sbin/lab-init"
"""Where ``sysvinit.sh`` lies in a node without systemd, whose PID 1 it is."""

STOP_SIGNAL = {"systemd": "SIGRTMIN+3", "sysvinit": "SIGTERM"}
"""Each PID 1's word for "halt"."""

SYSTEMD_WITHOUT_CGROUP_V1 = 256
"""systemd's NEWS: since 256 it boots on cgroup v1 only if forced to, since 258 not at all."""


def resource(name: str) -> str:
    """The text of a file beside this module."""
    return files("pyinfra_gvisor.lab").joinpath(name).read_text(encoding="utf-8")


def mmdebstrap_command(
    flavour: Flavour, *, prepare: str, tar: str, runsc: str | None = None
) -> list[str]:
    """
    The command that writes the root file system of ``flavour`` to ``tar``.

    No mirror is named: mmdebstrap knows the suite's own, or takes those of the machine. ``prepare``
    is where ``prepare.sh`` lies. If ``runsc`` is a path, Debian's runsc package is left there.
    """
    hooks = [
        f'sh {shlex.quote(prepare)} "$1" {flavour.suite} {flavour.docker_suite or ""}'.rstrip()
    ]
    if runsc is not None:
        fetch = "cd /tmp && apt-get download runsc && mv runsc_*.deb runsc.deb"
        hooks += [
            f'chroot "$1" sh -c {shlex.quote(fetch)}',
            f"download /tmp/runsc.deb {shlex.quote(runsc)}",
            'rm "$1/tmp/runsc.deb"',
        ]
    return _mmdebstrap(flavour, hooks, tar, packages=PACKAGES)


def disk_command(
    flavour: Flavour, arch: str, *, prepare: str, prepare_vm: str, root: str
) -> list[str]:
    """The same for a virtual machine of that architecture, into the directory ``root``."""
    docker_suite, debian_arch = flavour.docker_suite or "", OTHER_NAMES.get(arch, arch)
    hooks = [
        f'sh {shlex.quote(prepare)} "$1" {flavour.suite} {docker_suite}'.rstrip(),
        f'sh {shlex.quote(prepare_vm)} "$1"',
    ]
    virtual = [name.format(arch=debian_arch) for name in VIRTUAL_PACKAGES]
    command = _mmdebstrap(flavour, hooks, root, packages=(*PACKAGES, *virtual))
    before_kernel = f'--essential-hook=sh {shlex.quote(prepare_vm)} "$1" initramfs'
    return [*command[:-2], f"--architectures={debian_arch}", before_kernel, *command[-2:]]


def _mmdebstrap(
    flavour: Flavour, hooks: list[str], target: str, *, packages: tuple[str, ...]
) -> list[str]:
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join((*packages, *flavour.packages))}",
        *(f"--customize-hook={hook}" for hook in hooks),
        flavour.suite,
        target,
    ]


def image_changes(flavour: Flavour) -> list[str]:
    """What `docker import` is told about the image."""
    return ['CMD ["/sbin/init"]', f"LABEL {IMAGE_LABEL}={flavour.name}"]


def image_flavour(flavour: Flavour) -> Flavour:
    """The flavour whose image ``flavour`` boots."""
    return FLAVOURS[flavour.image] if flavour.image else flavour


def image_tag(flavour: Flavour) -> str:
    """``repository:tag``, another one as soon as anything in the recipe is another."""
    flavour = image_flavour(flavour)
    command = mmdebstrap_command(flavour, prepare="prepare.sh", tar="node.tar", runsc="runsc.deb")
    recipe = [*command, *image_changes(flavour), resource("prepare.sh")]
    return f"{IMAGE_REPOSITORY}:{flavour.name}-{_digest(recipe)}"


def disk_name(flavour: Flavour, arch: str) -> str:
    """The name of a virtual machine's disk, another one as soon as the recipe is another."""
    flavour = image_flavour(flavour)
    command = disk_command(
        flavour, arch, prepare="prepare.sh", prepare_vm="prepare-vm.sh", root="root"
    )
    recipe = [*command, resource("prepare.sh"), resource("prepare-vm.sh")]
    return f"{flavour.name}-{arch}-{_digest(recipe)}"


def is_same_disk(name: str, other: str) -> bool:
    """Return True if two disks are of one flavour and architecture, by whatever recipes."""
    (kind, _, _), (other_kind, _, _) = name.rpartition("-"), other.rpartition("-")
    return kind == other_kind


def purpose(line: str) -> str | None:
    """Return why mmdebstrap does what it does; not which command it runs for that."""
    said = line.startswith("I: ") and "/" not in line
    return line.removeprefix("I: ").strip() if said else None


def spec_label(spec: NodeSpec) -> str:
    """What a node's label says it is, to tell whether it is still the one that is wanted."""
    label = image_tag(spec.flavour).partition(":")[2]
    if spec.kind == "vm":
        label = f"vm-{disk_name(spec.flavour, spec.arch)}"
    if spec.flavour.init == "sysvinit":
        label += f"+sysvinit-{_digest([resource('sysvinit.sh')])}"
    if spec.flavour.built_docker:
        built = [repr(part) for part in parts.DOCKER_29]
        label += f"+docker-{spec.flavour.built_docker}-{_digest(built)}"
    if spec.flavour.firewall != "iptables":
        label += f"+{spec.flavour.firewall}"
    if spec.lived_in:
        seeds = [resource("lived-in.sh"), resource("lived-in.json")]
        label += f"+lived-in-{_digest(seeds)}"
    return label


def docker_options(flavour: Flavour) -> str | None:
    """Return the text of a node's ``/etc/default/docker``; None for what its package says."""
    options = []
    if flavour.built_docker == "overlay2":
        # Docker 29 takes the containerd image store where there are no images yet.
        options.append("--storage-driver=overlay2")
    if flavour.firewall != "iptables":
        options.append(f"--firewall-backend={flavour.firewall}")
    return f'DOCKER_OPTS="{" ".join(options)}"\n' if options else None


def boot_command(flavour: Flavour) -> list[str] | None:
    """What a node of this flavour runs as PID 1; None for what its image says."""
    return [SYSVINIT] if flavour.init == "sysvinit" else None


def boot_environment(flavour: Flavour, *, cgroup_version: int) -> dict[str, str]:
    """The environment of a node's PID 1 on a machine with that cgroup version (1 or 2)."""
    environment = {"container": "docker"}
    if flavour.init != "systemd":
        return environment
    if cgroup_version == 1 and flavour.systemd_version >= SYSTEMD_WITHOUT_CGROUP_V1:
        force = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
        environment["SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE"] = "1"
        environment["SYSTEMD_PROC_CMDLINE"] = f"systemd.unified_cgroup_hierarchy=0 {force}"
    return environment


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
