"""Commands and options to build and boot a node's root file system. Pure: runs nothing."""

import hashlib
import shlex
from importlib.resources import files

from tools.lab import parts
from tools.lab.spec import FLAVOURS, OTHER_NAMES, Flavour, NodeSpec

IMAGE_REPOSITORY = "pyinfra-gvisor-lab"
LABEL = "pyinfra-gvisor.lab"
IMAGE_LABEL = "pyinfra-gvisor.lab-image"
SPEC_LABEL = "pyinfra-gvisor.lab-node"

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "ca-certificates"),
    *("python3-minimal", "iptables", "nftables", "kmod", "sudo", "procps", "bzip2", "zstd"),
)
VIRTUAL_PACKAGES = (
    *("linux-image-cloud-{arch}", "initramfs-tools", "udev"),
    *("apparmor", "libpam-systemd", "python3"),
)
"""Further packages in a virtual machine, as on every server."""

FORWARDING = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"
"""Sysctls that Docker's bridge networks need, in the format of sysctl.d(5)."""

SYSVINIT = "/sbin/lab-init"
"""Path of ``sysvinit.sh``, which is PID 1 in a node without systemd."""

STOP_SIGNAL = {"systemd": "SIGRTMIN+3", "sysvinit": "SIGTERM"}
"""The signal that halts a node, by its PID 1."""

_NOTHING_STARTS = (
    "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
)
"""Keeps packages from starting services: README.policy-rc.d of Debian's init-system-helpers."""

SYSTEMD_WITHOUT_CGROUP_V1 = 256
"""Since 256 systemd boots on cgroup v1 only if forced to, since 258 not at all: its NEWS."""


def resource(name: str) -> str:
    """Return the text of a file in this package."""
    return files("tools.lab").joinpath(name).read_text(encoding="utf-8")


def mmdebstrap_command(
    flavour: Flavour, *, prepare: str, tar: str, runsc: str | None = None
) -> list[str]:
    """
    Return the command that writes the root file system of ``flavour`` to ``tar``.

    It names no mirror: mmdebstrap uses the suite's own or those of this machine. ``prepare`` is the
    path of ``prepare.sh``. If ``runsc`` is a path, Debian's runsc package is saved there.
    """
    hooks = []
    if runsc is not None:
        fetch = "cd /tmp && apt-get download runsc && mv runsc_*.deb runsc.deb"
        hooks = [
            f'chroot "$1" sh -c {shlex.quote(fetch)}',
            f"download /tmp/runsc.deb {shlex.quote(runsc)}",
            'rm "$1/tmp/runsc.deb"',
        ]
    return _mmdebstrap(flavour, prepare, hooks, PACKAGES, tar)


def disk_command(
    flavour: Flavour, arch: str, *, prepare: str, prepare_vm: str, root: str
) -> list[str]:
    """Return the command that writes a virtual machine's root file system to ``root``."""
    debian_arch, prepare_vm = OTHER_NAMES.get(arch, arch), shlex.quote(prepare_vm)
    packages = (*PACKAGES, *(name.format(arch=debian_arch) for name in VIRTUAL_PACKAGES))
    before_kernel = f'--essential-hook=sh {prepare_vm} "$1" initramfs'
    options = (f"--architectures={debian_arch}", before_kernel)
    return _mmdebstrap(flavour, prepare, [f'sh {prepare_vm} "$1"'], packages, *options, root)


def _mmdebstrap(
    flavour: Flavour, prepare: str, hooks: list[str], packages: tuple[str, ...], *more: str
) -> list[str]:
    """Return the command with these hooks after ``prepare``; ``more``: options, and the target."""
    first = f'sh {shlex.quote(prepare)} "$1" {flavour.suite} {flavour.docker_suite or ""}'.rstrip()
    included = ",".join((*packages, *flavour.packages))
    words = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={included}"]
    *options, target = more
    words += [f"--customize-hook={hook}" for hook in (first, *hooks)]
    return [*words, *options, flavour.suite, target]


def additions(flavour: Flavour) -> list[list[str]]:
    """Return the commands that add to the image of a flavour's base, in a container of it."""
    base = FLAVOURS[str(flavour.base)]
    commands = [["sh", "-c", _NOTHING_STARTS, "policy-rc.d"]]
    if flavour.docker_suite and flavour.docker_suite != base.docker_suite:
        later = ("/", flavour.suite, flavour.docker_suite)
        commands.append(["sh", "-c", resource("later-docker.sh"), "later-docker.sh", *later])
    packages = [name for name in flavour.packages if name not in base.packages]
    return [*commands, ["sh", "-c", resource("add.sh"), "add.sh", *packages]]


def image_changes(flavour: Flavour) -> list[str]:
    """Return the changes for `docker import` and `docker commit`."""
    return ['CMD ["/sbin/init"]', f"LABEL {IMAGE_LABEL}={flavour.name}"]


def image_flavour(flavour: Flavour) -> Flavour:
    """Return the flavour whose image ``flavour`` boots."""
    return FLAVOURS[flavour.image] if flavour.image else flavour


def image_tag(flavour: Flavour) -> str:
    """Return ``repository:tag``; the tag changes with the recipe."""
    flavour = image_flavour(flavour)
    if flavour.base:
        added = [word for command in additions(flavour) for word in command]
        recipe = [image_tag(FLAVOURS[flavour.base]), *added, *image_changes(flavour)]
    else:
        command = mmdebstrap_command(
            flavour, prepare="prepare.sh", tar="node.tar", runsc="runsc.deb"
        )
        recipe = [*command, *image_changes(flavour), resource("prepare.sh")]
    return f"{IMAGE_REPOSITORY}:{flavour.name}-{_digest(recipe)}"


def disk_name(flavour: Flavour, arch: str) -> str:
    """Return the name of a virtual machine's disk, which changes with the recipe."""
    flavour = image_flavour(flavour)
    command = disk_command(
        flavour, arch, prepare="prepare.sh", prepare_vm="prepare-vm.sh", root="root"
    )
    scripts = ("prepare.sh", "later-docker.sh", "prepare-vm.sh")
    recipe = [*command, *(resource(name) for name in scripts)]
    return f"{flavour.name}-{arch}-{_digest(recipe)}"


def is_same_disk(name: str, other: str) -> bool:
    """Return True if two disk names have the same flavour and architecture."""
    (kind, _, _), (other_kind, _, _) = name.rpartition("-"), other.rpartition("-")
    return kind == other_kind


def purpose(line: str) -> str | None:
    """Return a message for a line of mmdebstrap's output; None for lines with commands."""
    said = line.startswith("I: ") and "/" not in line
    return line.removeprefix("I: ").strip() if said else None


def spec_label(spec: NodeSpec) -> str:
    """Return the label of a node with this spec, to detect nodes of another recipe."""
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
    """Return the text of ``/etc/default/docker``; None to keep the package's file."""
    options = []
    if flavour.built_docker == "overlay2":
        # Docker 29 uses the containerd image store if there are no images yet.
        options.append("--storage-driver=overlay2")
    if flavour.firewall != "iptables":
        options.append(f"--firewall-backend={flavour.firewall}")
    return f'DOCKER_OPTS="{" ".join(options)}"\n' if options else None


def boot_command(flavour: Flavour) -> list[str] | None:
    """Return the command of PID 1; None to use the image's."""
    return [SYSVINIT] if flavour.init == "sysvinit" else None


def boot_environment(flavour: Flavour, *, cgroup_version: int) -> dict[str, str]:
    """Return the environment of PID 1 on a machine with this cgroup version (1 or 2)."""
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
