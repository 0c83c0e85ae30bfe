"""The drift command, run in a folder with inventories and deploys of every kind."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "pyinfra_gvisor.command", "drift")
Ran = subprocess.CompletedProcess[str]

FILES = {
    "here.py": 'run = ["@local"]',
    "empty.py": "run = []",
    "half.py": 'run = ["@local", ("127.0.0.1", {"ssh_port": 1})]',
    "away.py": 'run = [("127.0.0.1", {"ssh_port": 1}), ("127.0.0.2", {"ssh_port": 1})]',
    "raising.py": 'raise ValueError("the inventory broke")',
    "still.py": 'from pyinfra.operations import files\nfiles.file(name="Look", path="text")',
    "change.py": (
        "from pyinfra.operations import files\n"
        'files.line(name="Change", path="text", line="a=.*", replace="a=2")'
    ),
    "nothing.py": "",
    "broken.py": 'raise ValueError("the deploy broke")',
    "stopping.py": (
        "from pyinfra import host, logger\n"
        "from pyinfra.operations import files\n"
        'if host.name == "@local":\n'
        '    host.log("not on this one", logger.error)\n'
        "    host.state.fail_hosts({host.inventory.get_host(host.name)})\n"
        "else:\n"
        '    files.file(name="Look", path="text")'
    ),
    "silent.py": (
        "from pyinfra import host\nhost.state.fail_hosts({host.inventory.get_host(host.name)})"
    ),
    "hanging.py": (
        "from pyinfra import host\n"
        "from pyinfra.facts.server import Command\n"
        'host.get_fact(Command, "echo $$ > pid; exec sleep 600")'
    ),
    "failing_fact.py": (
        "from pyinfra import host\n"
        "from pyinfra.facts.server import Command\n"
        "from pyinfra.operations import files\n"
        'host.get_fact(Command, "exit 3")\n'
        'files.file(name="Look", path="text")'
    ),
    "printing.py": 'import sys\nsys.stdout.write("hello\\n")\n'
    'from pyinfra.operations import files\nfiles.file(name="Look", path="text")',
    "by_data.py": (
        "from pyinfra import host\n"
        "from pyinfra.operations import files\n"
        'files.line(name="Change", path="text", line="a=.*", replace=host.data.line)'
    ),
    "text": "a=1\n",
}


@dataclass(frozen=True)
class Folder:
    """A directory with ``FILES`` in it."""

    path: Path

    def __post_init__(self) -> None:
        for name, text in FILES.items():
            (self.path / name).write_text(text)

    def drift(self, *arguments: str, **environment: str) -> Ran:
        """The command, run to its end; words before the first option are inventory and deploys."""
        return subprocess.run(
            [*COMMAND, *_typed(arguments)],
            cwd=self.path,
            env=self._environment(environment),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The command, not waited for."""
        return subprocess.Popen(
            [*COMMAND, *_typed(arguments)],
            cwd=self.path,
            env=self._environment({}),
            stderr=subprocess.PIPE,
        )

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def _typed(arguments: tuple[str, ...]) -> list[str]:
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    places = [f"--inventory={word}" for word in words[:1]]
    places += [f"--deploy={word}" for word in words[1:]]
    return [*places, *arguments[len(words) :]]


def states(ran: Ran) -> dict[str, str]:
    return {host["name"]: host["state"] for host in json.loads(ran.stdout)["hosts"]}
