"""pyinfra's own command, run with the fleet's files and printed before it runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pyinfra_gvisor.command.fleet import INVENTORY
from pyinfra_gvisor.errors import Problem


def pyinfra_words(deploy: str, *options: str, limits: Sequence[str] = ()) -> list[str]:
    """
    Return the words of a run, without the program.

    + deploy: the name of a deploy, such as ``gvisor``
    + limits: hosts or groups; empty for all

    Raises ``Problem`` if the current directory has no fleet.
    """
    path = f"deploys/{deploy}.py"
    for name in (INVENTORY, path):
        if not Path(name).is_file():
            todo = "change to your fleet's directory, or make one: pyinfra-gvisor init HOST…"
            raise Problem(f"{Path.cwd()} has no fleet: {name} is missing", todo=todo)
    return [INVENTORY, path, *options, *(f"--limit={limit}" for limit in limits)]


def run_pyinfra(words: Sequence[str]) -> int:
    """Print the command, run pyinfra beside this Python, and return its exit code."""
    sys.stderr.write(f"$ pyinfra {shlex.join(words)}\n")
    sys.stderr.flush()
    # -P: as with the program "pyinfra", no file of the current directory hides a module.
    command = [sys.executable, "-P", "-m", "pyinfra", *words]
    return subprocess.run(command, check=False, env=dict(os.environ)).returncode
