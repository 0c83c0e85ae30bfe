"""
``daemon_json/journal.sh`` on a directory of the test's own, function by function.

What holds ports open is there as in a transaction, and finds no iptables to do it with.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from pyinfra_gvisor.base.scripts import encoded, program, script
from tests.unit.shells import replaced, stub, toolbox

TEXTS = (
    *("after", "neutral", "old_neutral", "on", "off", "old_on", "old_off"),
    *("load_after", "load_old"),
)
PARTS = (
    "node/record_change",
    "daemon_json/journal",
    "daemon_json/runtime_scripts",
    "daemon_json/ports",
)
RECORDS = ("intent", "owned", "applied", "applied_anew")


class Journal:
    """A node's daemon.json and records, and a change of them that is on its way."""

    parts = PARTS

    def __init__(self, root: Path, *, unit: str = "", keep: int = 10) -> None:
        self.file = root / "etc" / "daemon.json"
        self.state_dir = root / "state"
        self.pending = self.state_dir / "pending"
        self.staged = self.file.parent / ".pyinfra-gvisor"
        self.units = root / "units"
        self.text = root / "transaction.sh"
        self.variables = {"unit": unit, "keep": keep, "id": "a1", "action": "reload"}
        self.files: dict[str, str | None] = {"after": "new"}
        self.path = toolbox(root / "bin", "ln", "perl", "rmdir")
        self.file.parent.mkdir()
        self.units.mkdir()
        for name in ("generations", "generations/.new"):
            (self.state_dir / name).mkdir(parents=True)
        (self.state_dir / "generations" / ".new").rmdir()

    def run(self, body: str, *, without: str = "") -> subprocess.CompletedProcess[str]:
        """
        The functions, and then ``body``; from a file, which the script keeps a copy of.

        + without: a variable that is not set
        """
        texts = {name: self.files.get(name) for name in TEXTS}
        records = {name: f'{{"{name}":1}}\n' for name in RECORDS}
        encodings = {f"{name}_b64": encoded(text) for name, text in {**texts, **records}.items()}
        given: dict[str, Any] = {
            "file": self.file,
            "state_dir": self.state_dir,
            "hide": "",
            "by": '"user":"ann"',
            "firewall": "iptables",
            "place_program": program("base/json.pl", "daemon_json/place.pl"),
            **self.variables,
            **encodings,
        }
        given.pop(without, None)
        text = replaced(
            script(*self.parts, **given),
            {"/etc/systemd/system": self.units},
        ).partition("\nbegan=")[0]
        self.text.write_text(f"{text}\n{body}\n")
        return subprocess.run(
            ["sh", str(self.text)],
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": str(self.path), "HOME": "/nonexistent"},
            timeout=30,
        )

    def good(self, body: str) -> str:
        """What ``body`` prints; it must end well and complain of nothing."""
        ran = self.run(body)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
        return ran.stdout

    def breaks(self, program: str, text: str = "exit 1") -> None:
        """From now on this program does something else."""
        stub(self.path, program, text)

    def left(self) -> list[str]:
        """Everything of a change that is still there."""
        found = [self.staged, self.pending, self.state_dir / ".pending", *self.units.rglob("*")]
        found += self.state_dir.glob("generations/.new")
        return [str(item) for item in found if os.path.lexists(item)]

    def generations(self) -> list[int]:
        """The numbers of the generations that are kept."""
        found = (self.state_dir / "generations").iterdir()
        return sorted(int(item.name) for item in found if item.name.isdigit())
