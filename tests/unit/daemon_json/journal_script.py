"""
``journal.sh`` and ``apply.sh`` of daemon_json, function by function, on a test's own directory.

What holds ports open is there as in a transaction, and finds no iptables to do it with.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from pyinfra_gvisor.base.scripts import encoded, program, script
from pyinfra_gvisor.daemon_json.shared_lists import asking_plugins
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


# dockerd answers, is the process that it was, and says what it is told to do.
CALM = """
began=0 wait_s=0
answers() { true; }
identity() { say boot/1/1; }
service_log() { true; }
service_reload() { say reloaded; }
service_restart() { say restarted; }
service_delay_retries() { true; }
service_restore_retries() { true; }
reload_dockerd() { service_reload; }
check_units() { true; }
hold_ports() { true; }
release_ports() { true; }
reach_before() { true; }
live_restore_is() { [ "$1" = true ]; }
docker_quick() { true; }
within() { shift; "$@"; }
"""
BEGUN = """
generation=1 number=1
mkdir -p $state_dir/generations; chmod 0700 $state_dir
write_down; say 1 > $work/number; identity > $work/dockerd; begin
"""


class Change(Journal):
    """A change of daemon.json that has begun: its file is staged, and its process is known."""

    parts = (
        "daemon_json/service_systemd",
        *PARTS[:2],
        "daemon_json/dockerd",
        *PARTS[2:],
        "daemon_json/plugins",
        "daemon_json/reach",
        "daemon_json/apply",
    )

    def __init__(self, root: Path, before: str | None = "old", **variables: Any) -> None:
        super().__init__(root)
        if before is not None:
            self.file.write_text(before)
        self.variables |= {
            "host": "run-1",
            "timeout_s": 1,
            "runtimes": "",
            "live_restore": "",
            "default_runtime": "",
            "expect_sha256": "absent" if before is None else "0" * 64,
            "wait_s": 0,
            "can_live_restore": "yes",
            "seccomp": "",
            "temporary": "no",
            "leaving": "",
            **asking_plugins(None, None),
            "units_program": "exit",
            "restart_units": " ",
            "reach_program": "exit",
            "proxy_ends": "no",
            "given_up": "",
            **variables,
        }

    def after(self, steps: str, *, hooks: str = "") -> str:
        """Return what is printed, stderr too, by ``steps`` of a change that has begun."""
        return self.told(f"{BEGUN}{steps}", hooks=hooks)

    def told(self, body: str, *, hooks: str = "") -> str:
        """Return what is printed, stderr too; ``hooks`` replaces functions."""
        ran = self.run(f"exec 2>&1\n{CALM}{hooks}\n{body}")
        return ran.stdout + ran.stderr
