"""Files that the lab keeps on this machine: keys, known hosts, Debian's runsc, parts, locks."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.lab.spec import LabError


@dataclass(frozen=True)
class Cache:
    """The lab's cache directory. Only its owner may read it, because it has a private key."""

    root: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Cache":
        """Return the cache under ``XDG_CACHE_HOME``, or else ``~/.cache``; create it if missing."""
        base = environment.get("XDG_CACHE_HOME") or ""
        # The XDG base directory specification says to ignore a relative path.
        parent = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
        root = parent / "pyinfra-gvisor"
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        return cls(root)

    @property
    def key(self) -> Path:
        return self.root / "id_ed25519"

    @property
    def runsc_package(self) -> Path:
        return self.root / "runsc.deb"

    @property
    def parts(self) -> Path:
        """Return the directory of built parts. They take minutes to build and outlive every lab."""
        return self.root / "parts"

    @property
    def disks(self) -> Path:
        """Return the directory of virtual machines' base disks, which nodes only read."""
        path = self.root / "disks"
        path.mkdir(exist_ok=True)
        return path

    def lab(self, name: str) -> Path:
        """Return the directory of one lab; create it if missing."""
        path = self.root / "labs" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def known_hosts(self, name: str) -> Path:
        return self.lab(name) / "known_hosts"

    def ready(self, name: str, container_id: str) -> Path:
        """Return the path of a mark that exists once this container is a fully set up node."""
        return self.lab(name) / f"{container_id}.ready"

    def forget(self, name: str) -> None:
        """Remove the files of one lab."""
        shutil.rmtree(self.root / "labs" / name, ignore_errors=True)

    def clear(self) -> None:
        """Remove everything except built parts and the files of ``.ci/dockerd``."""
        for path in self.root.iterdir():
            if path == self.parts or path.name.startswith("dockerd."):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextmanager
    def lock(self, what: str) -> Iterator[None]:
        """Hold a lock, one process at a time. The kernel frees the lock if that process dies."""
        path = self.root / f"{what}.lock"
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def public_key(self) -> str:
        """Return the public SSH key for every node; make the pair of keys if it is missing."""
        with self.lock("key"):
            if not self.key.is_file() or not self.key.with_suffix(".pub").is_file():
                self.key.unlink(missing_ok=True)
                make_key(self.key)
        return self.key.with_suffix(".pub").read_text(encoding="utf-8")


def make_key(path: Path) -> None:
    """Make a pair of SSH keys. Raise ``LabError`` if ssh-keygen is missing or fails."""
    words = ["-q", "-t", "ed25519", "-N", "", "-C", "pyinfra-gvisor-lab", "-f", str(path)]
    output_of("ssh-keygen", *words, todo="run .ci/setup")


def output_of(*command: str, todo: str) -> bytes:
    """Return what a program prints. Raise ``LabError`` if it is missing or fails."""
    try:
        return subprocess.run(command, check=True, capture_output=True).stdout
    except FileNotFoundError as error:
        raise LabError(f"lab: {command[0]}: not installed", todo=todo) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace")
        raise LabError(f"lab: {command[0]} failed", because=said) from error
