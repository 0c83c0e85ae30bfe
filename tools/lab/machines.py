"""Nodes that are QEMU virtual machines, each with a directory in its lab's directory."""

import hashlib
import json
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tools.lab import qemu, recipe
from tools.lab.cache import make_key
from tools.lab.disk import add_layer, ensure_disk
from tools.lab.make import free_port
from tools.lab.makers import Found, Maker
from tools.lab.node import PATH, Files, LabNode, packed
from tools.lab.spec import OWN_ARCH, LabError, NodeSpec

_ENDING = ".vm"
_ABOUT = "about.json"
"""Written last: a directory without it was left by an interrupted run."""


@dataclass(frozen=True)
class Machines(Maker):
    """Nodes that are virtual machines: see ``makers.Maker``."""

    def ensure(self, spec: NodeSpec) -> None:
        ensure_disk(spec.flavour, spec.arch, cache=self.cache, tell=self.tell)

    def find(self, name: str) -> Found | None:
        about = _about(self._directory(name))
        if about is None:
            return None
        state = "running" if self._guest(name).process() else "exited"
        return Found(about["label"], about["id"], int(about["port"]), state)

    def node(self, name: str, spec: NodeSpec) -> "VirtualNode":
        guest = self._guest(name)
        return VirtualNode(
            name=name,
            spec=spec,
            ssh_port=guest.port,
            key=self.cache.key,
            known_hosts=self.cache.known_hosts(self.lab),
            guest=guest,
        )

    def make(self, name: str, spec: NodeSpec, files: Files) -> None:
        self.remove(name)
        directory, port = self._directory(name), free_port()
        directory.mkdir()
        disk = ensure_disk(spec.flavour, spec.arch, cache=self.cache, tell=self.tell)
        add_layer(disk, directory / qemu.DISK)
        files = {**files, **self._keys(directory, port)}
        (directory / qemu.SEED).write_bytes(packed(files))
        about = {
            "label": recipe.spec_label(spec),
            "id": uuid.uuid4().hex,
            "port": str(port),
            "kernel": str(disk.kernel.image),
            "initrd": str(disk.kernel.initrd),
            "arch": spec.arch,
            "accelerator": qemu.accelerator(disk.kernel, self.cache.root / "accelerator"),
        }
        (directory / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        self._guest(name).start()

    def remove(self, name: str) -> None:
        _remove(self._directory(name))

    def remove_all(self, lab: str | None) -> None:
        for directory in sorted((self.cache.root / "labs").glob(f"{lab or '*'}/*{_ENDING}")):
            self.tell(f"removing {directory.name.removesuffix(_ENDING)}")
            _remove(directory)

    def names(self) -> Iterable[str]:
        return (path.name.removesuffix(_ENDING) for path in self._home.glob(f"*{_ENDING}"))

    @property
    def _home(self) -> Path:
        return self.cache.lab(self.lab)

    def _directory(self, name: str) -> Path:
        return self._home / f"{name}{_ENDING}"

    def _guest(self, name: str) -> qemu.Guest:
        directory = self._directory(name)
        about = _about(directory) or {}
        kernel = qemu.Kernel(
            Path(about["kernel"]), Path(about["initrd"]), about.get("arch", OWN_ARCH)
        )
        accelerator: qemu.Accelerator = "kvm" if about["accelerator"] == "kvm" else "tcg"
        return qemu.Guest(name, directory, kernel, int(about["port"]), accelerator)

    def _keys(self, directory: Path, port: int) -> Files:
        """Return the files with the key that may log in and the node's own new host key."""
        key = directory / "host_key"
        make_key(key)
        public = key.with_suffix(".pub").read_text(encoding="utf-8")
        known = f"[127.0.0.1]:{port} {public}"
        (directory / qemu.KNOWN_HOSTS).write_text(known, encoding="utf-8")
        own = "/etc/ssh/ssh_host_ed25519_key"
        return {
            "/root/.ssh/authorized_keys": (self.cache.public_key().encode(), 0o600),
            own: (key.read_bytes(), 0o600),
            f"{own}.pub": (public.encode(), 0o644),
        }


def _about(directory: Path) -> dict[str, str] | None:
    try:
        known: dict[str, str] = json.loads((directory / _ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return known


def _remove(directory: Path) -> None:
    if directory.is_dir():
        qemu.kill(directory)
        shutil.rmtree(directory)


SSH_FAILED = 255
"""Exit code of ssh for an error of its own, or of a command that ended so: ssh(1)."""

_CONTROL_S = 600


@dataclass(frozen=True)
class VirtualNode(LabNode):
    """A node with its own kernel, boot and disk."""

    guest: qemu.Guest = field(repr=False, compare=False)

    ready_timeout_s: ClassVar[float] = 600
    how_to_look: ClassVar[str] = "the end of its console.log in the lab's cache"

    @property
    def address(self) -> str:
        return qemu.ADDRESS

    @property
    def state(self) -> str:
        return "running" if self.guest.process() else "exited"

    def run(self, command: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        words = shlex.join(["env", PATH, "HOME=/root", *command])
        ran = subprocess.run(
            [*self._ssh_words(), words], check=False, input=stdin, capture_output=True
        )
        if ran.returncode == SSH_FAILED:
            said = ran.stderr.decode(errors="replace")
            raise LabError(f"lab: {self.name}: ssh failed", because=said)
        return ran

    def kill(self) -> None:
        self.guest.kill()

    def switch_on(self) -> None:
        self.guest.start()

    def _ssh_words(self) -> list[str]:
        # One connection for all commands: a handshake takes an emulated node seconds.
        control = hashlib.sha256(str(self.guest.directory).encode()).hexdigest()[:12]
        options = {
            "BatchMode": "yes",
            "UserKnownHostsFile": str(self.guest.directory / qemu.KNOWN_HOSTS),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentityFile": str(self.key),
            "ControlMaster": "auto",
            "ControlPath": f"/run/gvisor-lab-{control}",
            "ControlPersist": str(_CONTROL_S),
            "ServerAliveInterval": "5",
            "ConnectTimeout": "20",
            "Port": str(self.ssh_port),
        }
        words = (f"-o{key}={value}" for key, value in options.items())
        return ["ssh", "-F/dev/null", *words, "root@127.0.0.1"]
