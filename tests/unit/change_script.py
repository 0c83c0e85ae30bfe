"""``daemon_json/apply.sh`` function by function, with a dockerd of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.journal_script import PARTS, Journal

# dockerd answers, is the process that it was, and says what it is told to do.
CALM = """
began=0 wait_s=0
answers() { true; }
identity() { say boot/1/1; }
service_log() { true; }
service_reload() { say reloaded; }
service_restart() { say restarted; }
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
