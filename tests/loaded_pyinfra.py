"""
pyinfra's command from a process that has loaded it already: loading is half of what a run costs.

Started as a program this is that process. It reads a line of JSON for each run, forks, and answers
with the exit code; the child goes on as ``python -m pyinfra`` does.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from select import select
from tempfile import TemporaryDirectory
from threading import Lock


class LoadedPyinfra:
    """Runs of pyinfra, one after another, each in a process of its own."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is where they run, unless a run says another one."""
        self._directory = directory
        self._one_at_a_time = Lock()
        self._started: subprocess.Popen[str] | None = None

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout_s: int,
        directory: Path | None = None,
        typed: str = "",
    ) -> tuple[int, str, str]:
        """
        The exit code of a run, what it wrote to stdout, and what to stderr.

        ``typed`` is what it reads from stdin. Raises ``subprocess.TimeoutExpired``; the run is
        killed then.
        """
        with self._one_at_a_time, TemporaryDirectory() as made:
            streams = [Path(made, name) for name in ("stdin", "stdout", "stderr")]
            streams[0].write_text(typed)
            wanted = {
                "directory": str(directory or self._directory),
                "streams": [str(path) for path in streams],
                "environment": dict(environment),
                "arguments": list(arguments),
            }
            code = self._ask(json.dumps(wanted), timeout_s)
            stdout, stderr = (path.read_text() for path in streams[1:])
        return code, stdout, stderr

    def _ask(self, line: str, timeout_s: int) -> int:
        started = self._started or self._start()
        self._started = None  # unless this ends well: there may be an answer that nobody has read
        try:
            code = _answer(started, line, timeout_s)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            raise
        self._started = started
        return code

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=self._directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def _answer(started: subprocess.Popen[str], line: str, timeout_s: int) -> int:
    asked, answer = started.stdin, started.stdout
    assert asked
    assert answer
    asked.write(f"{line}\n")
    asked.flush()
    if not select([answer], [], [], timeout_s)[0]:
        raise subprocess.TimeoutExpired(line, timeout_s)
    said = answer.readline()
    if not said:
        raise RuntimeError(f"the process that has pyinfra loaded ended: {started.wait()}")
    return int(said)


def _next_run() -> list[str] | None:
    """In a child its arguments, with all else in place; in the first process None at the end."""
    from gevent.monkey import get_original  # noqa: PLC0415  which loading pyinfra has patched

    fork, wait = get_original("os", "fork"), get_original("os", "waitpid")
    while line := sys.stdin.readline():
        child = fork()
        if child == 0:
            wanted = json.loads(line)
            os.environ.clear()
            os.environ.update(wanted["environment"])
            os.chdir(wanted["directory"])
            sys.path[0] = wanted["directory"]  # as with -m
            for number, path in enumerate(wanted["streams"]):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
            return list(wanted["arguments"])
        code = os.waitstatus_to_exitcode(wait(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()
    return None


def _main() -> None:
    from pyinfra_cli.main import main  # noqa: PLC0415  first, since it patches what others load

    import pyinfra_gvisor  # noqa: PLC0415

    # Those too that are imported late.
    for found in walk_packages(pyinfra_gvisor.__path__, f"{pyinfra_gvisor.__name__}."):
        if not found.name.endswith("__main__"):
            import_module(found.name)
    gc.freeze()  # what is loaded stays: a run need not look through it again
    arguments = _next_run()
    if arguments is not None:
        sys.argv = ["pyinfra", *arguments]
        main()


if __name__ == "__main__":
    _main()
