"""Run long builds on this machine. Each has its own directory, log and progress messages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    """One build: its working directory, the log of its output, and a function for progress."""

    directory: Path
    log: Path
    tell: Tell

    def run(
        self,
        command: Sequence[str],
        *,
        progress: Callable[[str], str | None],
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Run ``command`` to its end.

        ``progress`` turns a line of the output into a message for people, or None. If the command
        fails, tell its last lines and raise ``LabError``.
        """
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

    def keep(self, made: Path, home: Path) -> None:
        """Move the finished directory ``made`` to ``home``, in place of what is there."""
        home.parent.mkdir(exist_ok=True)
        if home.exists():
            shutil.rmtree(home)
        made.rename(home)


@contextmanager
def building(name: str, *, cache: Cache, tell: Tell) -> Iterator[Build]:
    """
    Give a build an empty directory and an empty log, and remove the directory afterwards.

    Remove the directories of interrupted builds of that name. Raise ``LabError`` if not root.
    """
    if os.geteuid() != 0:
        raise LabError("lab: only root can build what the lab needs", todo="run this as root")
    log = cache.root / f"build-{name}.log"
    log.unlink(missing_ok=True)
    for left in cache.root.glob(f"build-{name}.*/"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=f"build-{name}.", dir=cache.root) as directory:
        yield Build(Path(directory), log, tell)
