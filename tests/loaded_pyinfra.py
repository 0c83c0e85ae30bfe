"""
pyinfra's command from a process that has loaded it already: loading is half of what a run costs.

Started as a program this is that process. It reads a line of JSON for each run, forks, and answers
with the PID; with the exit code, if asked for one that has ended. The child goes on as ``python -m
pyinfra`` does.
"""

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
from typing import Any

STREAMS = ("stdin", "stdout", "stderr")
SAY_WHERE = signal.SIGUSR1
WHERE_S = 3  # to write where it is


class LoadedPyinfra:
    """Runs of pyinfra, each in a process of its own."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is where they run, unless a run says another one."""
        self._directory = directory
        self._one_at_a_time = Lock()
        self._process: subprocess.Popen[str] | None = None

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
        killed then, and the error says what it wrote and where each greenlet was.
        """
        started = self.start(arguments, environment, directory=directory, typed=typed)
        try:
            return started.wait(timeout_s), *started.communicate()
        except BaseException as error:
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.kill(started.pid, SAY_WHERE)
                started.wait(WHERE_S)
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            error.add_note("".join(started.communicate()))
            raise

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
        typed: str = "",
    ) -> "Started":
        """Start a run, in its own process group, without waiting for it."""
        made = TemporaryDirectory()
        streams = [Path(made.name, name) for name in STREAMS]
        streams[0].write_text(typed)
        wanted = {
            "directory": str(directory or self._directory),
            "streams": [str(path) for path in streams],
            "environment": dict(environment),
            "arguments": list(arguments),
        }
        return Started(self.ask(wanted), self, made)

    def ask(self, wanted: Mapping[str, Any]) -> int:
        """Return what the loaded process answers: a PID, or the exit code of ``ended``."""
        with self._one_at_a_time:
            process = self._process = self._process or self._load()
            asked, answer = process.stdin, process.stdout
            assert asked
            assert answer
            asked.write(f"{json.dumps(wanted)}\n")
            asked.flush()
            said = answer.readline()
            if not said:
                self._process = None
                raise RuntimeError(f"the process that has pyinfra loaded ended: {process.wait()}")
        return int(said)

    def _load(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=self._directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


class Started:
    """A run that goes on, asked as a ``subprocess.Popen`` is."""

    def __init__(self, pid: int, loaded: LoadedPyinfra, made: TemporaryDirectory[str]) -> None:
        self.pid, self._loaded, self._made = pid, loaded, made
        self._ended = os.pidfd_open(pid)
        self.returncode: int | None = None

    def poll(self, timeout: float | None = 0) -> int | None:
        """Return the exit code; ``None`` if the run goes on."""
        if self.returncode is None and select([self._ended], [], [], timeout)[0]:
            self.returncode = self._loaded.ask({"ended": self.pid})
            os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raise ``subprocess.TimeoutExpired``."""
        code = self.poll(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"pyinfra {self.pid}", timeout or 0)
        return code

    def communicate(self) -> tuple[str, str]:
        """Wait for the end; return what the run wrote to stdout, and what to stderr."""
        self.wait()
        stdout, stderr = (Path(self._made.name, name).read_text() for name in STREAMS[1:])
        return stdout, stderr


def _next_run() -> list[str] | None:
    """In a child its arguments, with all else in place; in the first process None at the end."""
    from gevent import reinit  # noqa: PLC0415
    from gevent.monkey import get_original  # noqa: PLC0415  which loading pyinfra has patched

    fork, wait = get_original("os", "fork"), get_original("os", "waitpid")
    while line := sys.stdin.readline():
        wanted = json.loads(line)
        child = wanted.get("ended") or fork()
        if child == 0:
            reinit()  # else now and then a look-up of a host waits without end
            os.environ.clear()
            os.environ.update(wanted["environment"])
            os.chdir(wanted["directory"])
            sys.path[0] = wanted["directory"]  # as with -m
            for number, path in enumerate(wanted["streams"]):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
            return list(wanted["arguments"])
        if "ended" in wanted:
            answer = os.waitstatus_to_exitcode(wait(child, 0)[1])
        else:
            os.setpgid(child, child)
            answer = child
        sys.stdout.write(f"{answer}\n")
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
        from gevent.util import print_run_info  # noqa: PLC0415  which pyinfra has loaded

        signal.signal(SAY_WHERE, lambda *_: print_run_info(file=sys.stderr))
        sys.argv = ["pyinfra", *arguments]
        main()


if __name__ == "__main__":
    _main()
