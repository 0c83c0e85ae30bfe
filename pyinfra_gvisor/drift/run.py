"""One run of pyinfra, as a process of its own, and all that it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.drift.record import DEFAULT_CONFIG, RECORD_PATH, USERS_CONFIG

TIMEOUT_S = 900.0
LAST_WORDS_S = 5.0  # for a run that is told to stop to say what it knows

# With -y nothing is looked at, and pyinfra reads that from here too:
# pyinfra_cli/cli.py of pyinfra 3.10, option --yes.
_YES = "PYINFRA_YES"


@dataclass(frozen=True)
class Request:
    """
    What to look at: pyinfra's own arguments.

    ``timeout_s`` is in seconds and for the whole run; ``passed`` is given to pyinfra as it is.
    """

    inventory: str
    deploys: tuple[str, ...]
    limits: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    group_data: tuple[str, ...] = ()
    config: str = DEFAULT_CONFIG
    diff: bool = False
    passed: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S

    def arguments(self) -> tuple[str, ...]:
        """pyinfra's command line, without the program."""
        return (
            *(self.inventory, *self.deploys, "--dry", "--json", f"--config={recording()}"),
            *(f"--limit={pattern}" for pattern in self.limits),
            *(f"--data={pair}" for pair in self.data),
            *(f"--group-data={path}" for path in self.group_data),
            *(("--diff",) if self.diff else ()),
            *self.passed,
        )


@dataclass(frozen=True)
class Ran:
    """
    How it ended. ``record`` is the text of a ``Record``, None if pyinfra wrote none; ``code`` is
    pyinfra's exit code, None if it was stopped after ``timeout_s``.
    """

    code: int | None
    stdout: str
    stderr: str
    record: str | None


def dry_run(request: Request) -> Ran:
    """Run pyinfra without a change."""
    return recorded(request.arguments(), request.config, request.timeout_s)


def recorded(
    arguments: Sequence[str], config: str, timeout_s: float, more: Mapping[str, str] | None = None
) -> Ran:
    """
    Run pyinfra beside this Python, without a terminal, so that it can ask nothing.

    + arguments: pyinfra's, with ``--config=`` and ``recording()``
    + config: the operator's own config file
    + timeout_s: for the whole run
    + more: environment variables

    Whatever ends this process or function ends pyinfra too, with what it started on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="pyinfra-gvisor-run-") as directory:
        path = Path(directory, "record.json")
        environment = {key: value for key, value in os.environ.items() if key != _YES}
        environment |= {RECORD_PATH: str(path), USERS_CONFIG: config}
        environment["PYINFRA_PROGRESS"] = "off"
        environment |= more or {}
        with _started(arguments, environment) as process:
            code, stdout, stderr = _ended(process, timeout_s)
        record = path.read_text("utf-8") if path.exists() else None
        return Ran(code, stdout, stderr, record)


@contextmanager
def _started(
    arguments: Sequence[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    # -P: as with the program "pyinfra", no file of the current directory hides a module.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "pyinfra", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _ended(process: subprocess.Popen[str], timeout_s: float) -> tuple[int | None, str, str]:
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return None, *_stopped(process)
    return process.returncode, stdout, stderr


def _stopped(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.terminate()  # deploys/recording.py writes the record then
    with suppress(subprocess.TimeoutExpired):
        process.wait(LAST_WORDS_S)
    with suppress(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()


def recording() -> str:
    """Return the path of the config file that has pyinfra write a record."""
    # Found, not imported: it imports pyinfra, which is for the other process.
    spec = find_spec("pyinfra_gvisor.deploys.recording")
    if spec is None or spec.origin is None:
        raise Problem("deploys/recording.py of this package is missing", todo="install it again")
    return spec.origin
