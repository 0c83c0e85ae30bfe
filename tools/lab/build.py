"""
Run long builds on this machine, and detect damage in what was built.

Each build has its own directory, log and progress messages. A directory that it leaves has a record
of its files' checksums.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from tools.lab.cache import Cache
from tools.lab.spec import LabError

Tell = Callable[[str], None]

_DIES_WITH_US = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""Ends a build's processes and mounts with this process, even if it is killed."""

_LAST_LINES = 15


@dataclass(frozen=True)
class Build:
    """
    One build: its working directory, the log of its output, and a function for progress.

    ``made`` is a directory in it for what the build makes.
    """

    directory: Path
    log: Path
    tell: Tell

    @property
    def made(self) -> Path:
        return self.directory / "made"

    def run(
        self,
        command: Sequence[str],
        *,
        progress: Callable[[str], str | None] = lambda _: None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Run ``command`` to its end.

        ``progress`` turns a line of the output into a message for people, or None. If the command
        fails, tell its last lines and raise ``LabError``.
        """
        if shutil.which(command[0]) is None:
            raise LabError(f"lab: {command[0]}: not installed", todo="run .ci/setup")
        said: list[str] = []
        with (
            self.log.open("a", encoding="utf-8") as file,
            subprocess.Popen(
                [*_DIES_WITH_US, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
            ) as process,
        ):
            for line in process.stdout or ():
                file.write(line)
                said.append(line.rstrip())
                if told := progress(line.rstrip()):
                    self.tell(f"  {told}")
        if process.returncode != 0:
            for line in said[-_LAST_LINES:]:
                self.tell(f"  | {line}")
            what = f"lab: {Path(command[0]).name} failed with exit code {process.returncode}"
            because = next((line for line in reversed(said) if line), "no output")
            raise LabError(what, because=because, todo=f"see {self.log}")

    def keep(self, home: Path, about: Mapping[str, Any] | None = None) -> None:
        """Move ``made`` to ``home``, in place of what is there; with a record of ``about``."""
        if about is not None:
            write_record(self.made, about)
        home.parent.mkdir(exist_ok=True)
        if home.exists():
            shutil.rmtree(home)
        self.made.rename(home)


@contextmanager
def building(what: str, name: str, *, cache: Cache, tell: Tell) -> Iterator[Build]:
    """
    Give a build of ``what`` an empty directory and an empty log; tell how long it takes.

    Remove the directory afterwards, and before it those of interrupted builds of that name. Raise
    ``LabError`` if not root.
    """
    if os.geteuid() != 0:
        raise LabError("lab: only root can build what the lab needs", todo="run this as root")
    began_s = monotonic()
    tell(f"building {what}, once; this may take minutes")
    log = cache.root / f"build-{name}.log"
    log.unlink(missing_ok=True)
    for left in cache.root.glob(f"build-{name}.*/"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=f"build-{name}.", dir=cache.root) as directory:
        build = Build(Path(directory), log, tell)
        build.made.mkdir()
        yield build
    tell(f"built {what} in {monotonic() - began_s:.0f} s")


RECORD = "part.json"


def write_record(home: Path, about: Mapping[str, Any]) -> None:
    """Write a record of ``about`` and the sha256 of every file below ``home``."""
    files = {
        str(path.relative_to(home)): digest(path)
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({**about, "files": files}, indent=1)
    (home / RECORD).write_text(text, encoding="utf-8")


def needs_build(home: Path, what: str, *, tell: Tell) -> bool:
    """Return True if a directory is missing or damaged; tell its damage."""
    damage = damage_of(home)
    if damage and home.exists():
        tell(f"{what} is damaged ({damage}); building it again")
    return damage is not None


def damage_of(home: Path) -> str | None:
    """Return what is wrong with a directory, or None if every file has its recorded checksum."""
    try:
        sums: dict[str, str] = json.loads((home / RECORD).read_text(encoding="utf-8"))["files"]
        for name, expected in sums.items():
            if (found := digest(home / name)) != expected:
                return f"sha256 of {name} is {found[:12]}…, expected {expected[:12]}…"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        return f"{RECORD} cannot be read: {error}"
    return None


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's checksum in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
