"""Run virtual machines with QEMU: with KVM if a guest boots with it, else emulated."""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

from tools.lab.spec import OWN_ARCH, LabError

Accelerator = Literal["kvm", "tcg"]

PROCESSORS = {"kvm": 2, "tcg": 1}
"""Two emulated ones take a quarter more of this machine's time, and end a tenth earlier."""
MEMORY_MIB = 3072
ADDRESS, GATEWAY = "10.0.2.15", "10.0.2.2"
"""QEMU's user network; "Network emulation" in its manual."""

DISK, SEED, CONSOLE, KNOWN_HOSTS, _PID = (
    *("disk.qcow2", "seed.tar", "console.log", "known_hosts", "pid"),
)
"""Files in a guest's directory. The seed is a tar archive that the guest reads as a disk."""

START_TIMEOUT_S = 30
KILL_TIMEOUT_S = 30
TRY_TIMEOUT_S = 20
"""Where KVM works, a guest's kernel prints its version within two seconds."""

_COMMAND_LINE = "root=/dev/vda rw net.ifnames=0 quiet systemd.show_status=no"
_EMULATED = "mitigations=off init_on_alloc=0 norandmaps"
"""
An emulated processor has nothing to mitigate; with both, a boot takes a quarter less time. QEMU
finds translated code by its virtual address, so it translates programs at random addresses again
for each process: without randomization a short process takes a third of the time.
"""
_TRIED_COMMAND_LINE = "panic=-1"
_NICE = -10
"""
Of an emulated machine's session against all others: sched(7), "The autogroup feature". Programs in
it have time limits. Without this, containers that use both processors make it three times slower.
"""


@dataclass(frozen=True)
class Hardware:
    """QEMU's options for one architecture. ``processor`` is for emulated machines."""

    program: str
    machine: str
    processor: str
    console: str


HARDWARE = {
    # "max" is slower: a boot takes a fifth longer by five levels of page tables and wide vectors,
    # and on aarch64 three times as long, as pointer authentication computes a hash at each call.
    "x86_64": Hardware("qemu-system-x86_64", "q35", "Nehalem", "ttyS0"),
    "aarch64": Hardware("qemu-system-aarch64", "virt", "neoverse-n1", "ttyAMA0"),
}


@dataclass(frozen=True)
class Kernel:
    """A kernel that QEMU boots directly, so that a disk needs no boot loader."""

    image: Path
    initrd: Path
    arch: str = OWN_ARCH

    @property
    def hardware(self) -> Hardware:
        """Return QEMU's options for its architecture."""
        return HARDWARE[self.arch]


def accelerator(kernel: Kernel, kept: Path) -> Accelerator:
    """
    Return how guests run on this machine: ``kvm`` only if a guest has booted with KVM.

    A guest may fail although ``/dev/kvm`` exists. The file ``kept`` has the result until the
    next boot of this machine.
    """
    if kernel.arch != OWN_ARCH:
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    if kept.is_file() and (known := kept.read_text(encoding="ascii").split())[:1] == [boot]:
        return "kvm" if known[-1] == "kvm" else "tcg"
    seen: Accelerator = "kvm" if _boots_by_kvm(kernel) else "tcg"
    kept.write_text(f"{boot} {seen}\n", encoding="ascii")
    return seen


def _boots_by_kvm(kernel: Kernel) -> bool:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    hardware = kernel.hardware
    append = f"console={hardware.console} {_TRIED_COMMAND_LINE}"
    command = [
        *(hardware.program, "-machine", hardware.machine, "-nodefaults", "-no-user-config"),
        *("-display", "none"),
        *("-accel", "kvm", "-cpu", "host", "-m", "512", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(kernel.image), "-append", append),
    ]
    try:
        ran = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRY_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        return b"Linux version" in (error.stdout or b"")
    except OSError:
        return False
    return b"Linux version" in ran.stdout


@dataclass(frozen=True)
class Guest:
    """A virtual machine. ``directory`` has its disk, console log and pid file."""

    name: str
    directory: Path
    kernel: Kernel
    port: int
    accelerator: Accelerator

    def command(self) -> list[str]:
        """Return QEMU's command line."""
        hardware = self.kernel.hardware
        by_kvm = self.accelerator == "kvm"
        words = f"console={hardware.console} systemd.hostname={self.name}"
        words += "" if by_kvm else f" {_EMULATED}"
        forward = f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22"
        disk, seed, console, pid = (self.directory / n for n in (DISK, SEED, CONSOLE, _PID))
        return [
            *(hardware.program, "-name", self.name, "-machine", hardware.machine),
            *("-nodefaults", "-no-user-config"),
            *("-display", "none", "-daemonize", "-pidfile", str(pid)),
            *("-accel", self.accelerator),
            *("-cpu", "host" if by_kvm else hardware.processor),
            *("-smp", str(PROCESSORS[self.accelerator]), "-m", str(MEMORY_MIB)),
            *("-drive", f"file={disk},format=qcow2,if=virtio,cache=unsafe"),
            *("-drive", f"file={seed},format=raw,if=virtio,readonly=on"),
            *("-netdev", forward, "-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "virtio-rng-pci", "-serial", f"file:{console}"),
            *("-kernel", str(self.kernel.image), "-initrd", str(self.kernel.initrd)),
            *("-append", f"{_COMMAND_LINE} {words}"),
        ]

    def start(self) -> None:
        """Start QEMU as a daemon. Raise ``LabError`` with QEMU's error."""
        try:
            subprocess.run(
                self.command(),
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=START_TIMEOUT_S,
            )
        except FileNotFoundError as error:
            program, arch = self.kernel.hardware.program, self.kernel.arch
            todo = f"run GVISOR_LAB_ARCH={arch} .ci/setup vm"
            raise LabError(f"lab: {program}: not installed", todo=todo) from error
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or error
            raise LabError(f"lab: {self.name}: QEMU does not start", because=said) from error
        pid = self.process()
        if self.accelerator == "tcg" and pid is not None:
            with suppress(OSError):  # only root may, and a kernel may have no such groups
                Path(f"/proc/{pid}/autogroup").write_text(str(_NICE), encoding="ascii")

    def process(self) -> int | None:
        """Return the pid of QEMU; None if it does not run."""
        return _process(self.directory)

    def kill(self) -> None:
        """Cut the power: data that the guest has not flushed is lost. Raise ``LabError``."""
        kill(self.directory)


def kill(directory: Path) -> None:
    """Kill the QEMU of the guest in ``directory``, if it runs. Raise ``LabError`` after 30 s."""
    pid = _process(directory)
    if pid is None:
        return
    until_s = monotonic() + KILL_TIMEOUT_S
    while _process(directory) == pid or _holds(pid, directory):
        if monotonic() > until_s:
            raise LabError(
                f"lab: {directory}: QEMU (pid {pid}) does not end within {KILL_TIMEOUT_S} s"
            )
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        sleep(0.05)


def _holds(pid: int, directory: Path) -> bool:
    """Return True if a process has a file there open: its memory goes before its locks do."""
    held = False
    with suppress(OSError):  # it has ended
        for file in Path(f"/proc/{pid}/fd").iterdir():
            held = held or str(file.readlink()).startswith(f"{directory}/")
    return held


def _process(directory: Path) -> int | None:
    """Return QEMU's pid. Another process may have it by now, but lacks this pid file's path."""
    path = directory / _PID
    try:
        pid = int(path.read_text(encoding="ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(path).encode() in words else None
