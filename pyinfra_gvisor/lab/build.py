"""Long builds on this machine: a directory of their own, their output in a log, their progress told."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.spec import LabError

Tell = Callable[[str], None]

_DIES_WITH_US = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""What a build starts and mounts ends with this process: even a killed one leaves a directory only."""

_LAST_LINES = 15


@contextmanager
def directory_for(name: str, cache: Cache) -> Iterator[Path]:
    """Give a build an empty directory. What an interrupted build of that name left is removed."""
    prefix = f"build-{name}."
    for left in cache.root.glob(f"{prefix}*/"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=cache.root) as directory:
        yield Path(directory)


def run(
    command: Sequence[str],
    *,
    log: Path,
    tell: Tell,
    progress: Callable[[str], str | None],
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """
    Run ``command`` to its end and append all its output to ``log``.

    ``progress`` turns a line of the output into what people are told, if anything. Raises
    ``LabError`` with the last lines if the command fails, and if only root can run it.
    """
    if os.geteuid() != 0:
        raise LabError("lab: only root can build what the lab needs", todo="run this as root")
    said: list[str] = []
    with (
        log.open("a", encoding="utf-8") as file,
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
                tell(f"  {told}")
    if process.returncode != 0:
        for line in said[-_LAST_LINES:]:
            tell(f"  | {line}")
        because = next((line for line in reversed(said) if line), "no output")
        what = f"lab: {command[0]} ended with {process.returncode}"
        raise LabError(what, because=because, todo=f"see {log}")
