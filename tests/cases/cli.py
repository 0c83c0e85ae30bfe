"""pyinfra's own command line, as a process, over hosts that do not exist."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyinfra_gvisor.facts.source import END as END_OF_SOURCE
from tests.cases.fleet import MARKS
from tests.loaded_pyinfra import LoadedPyinfra
from tests.unit.proof.observations import output

CHECKOUT = Path(__file__).parents[2]
LOADED = LoadedPyinfra(CHECKOUT)
ENTER = "\n"


def fake(told: Sequence[str] = (), **responses: Any) -> dict[str, Any]:
    """The data of a host that answers so to our facts, and well to everything else."""
    answers = {"end of node state": list(told), MARKS["prove"]: output(), **responses}
    answers = {MARKS["source"]: [END_OF_SOURCE], **answers}
    return {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": answers}


def inventory(**groups: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of an inventory: by group its hosts, and the data of each."""
    return "".join(
        f"{group} = {[(f'@fake/{name}', dict(data)) for name, data in hosts.items()]!r}\n"
        for group, hosts in groups.items()
    )


def pyinfra(
    directory: Path,
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    typed: str = ENTER,
) -> subprocess.CompletedProcess[str]:
    """
    How a run in a directory ends; a person who is asked types that.

    With a ``PYTHONPATH`` of its own it is a process that has loaded nothing yet.
    """
    words = [str(word) for word in arguments]
    given = {**os.environ, **(environment or {})}
    if "PYTHONPATH" not in (environment or {}):
        ran = LOADED.run(words, given, timeout_s=60, directory=directory, typed=typed)
        return subprocess.CompletedProcess(words, *ran)
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", *words],
        cwd=directory,
        env=given,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def interrupted(directory: Path, *arguments: str | Path, after: str = "") -> tuple[int, str]:
    """Exit code and stderr of a run; somebody presses Ctrl-C once it has written ``after``."""
    with subprocess.Popen(
        [sys.executable, "-m", "pyinfra", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        written = ""
        for line in process.stderr:
            written += line
            if after and after in line:
                time.sleep(0.5)  # what writes the line has still to end
                process.send_signal(signal.SIGINT)
    return process.returncode, written


def on_terminal(
    directory: Path,
    *arguments: str | Path,
    columns: int,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a run writes to a terminal of so many columns; a person who is asked presses Enter."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    given = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "pyinfra", *arguments],
        cwd=directory,
        env={**given, "TERM": "xterm", **(environment or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, ENTER.encode() * 3)
        written = bytearray()
        with suppress(OSError):  # which tells that nobody holds the other end any more
            while piece := os.read(ours, 65536):
                written += piece
        process.wait(60)
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def summary(written: str) -> list[str]:
    """The lines from the summary on of what a run wrote."""
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    return lines[next(at for at, line in enumerate(lines) if line.startswith("--> Summary")) :]
