"""Sandboxes from any runsc, which Docker knows nothing of."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.node.audits import sh
from tools.lab import LabNode

DIRECTORY = "/run/sandboxes"

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.0",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["sleep", "600"],
        "env": ["PATH=/usr/bin"],
        "cwd": "/",
    },
    "root": {"path": "rootfs"},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
    ],
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
}
"""Of a bundle whose container sleeps, with the node's own programs."""

# Arguments: the runsc, the sandbox's name, flags. Prints what it said if it does not start.
_START = f"""
set -eu
mkdir -p {DIRECTORY}/rootfs/usr {DIRECTORY}/rootfs/proc
for link in bin lib lib64; do ln -sfn "usr/$link" "{DIRECTORY}/rootfs/$link"; done
runsc=$1 name=$2
shift 2
if ! "$runsc" --root {DIRECTORY}/root --ignore-cgroups "$@" run -detach \\
    -bundle {DIRECTORY} "$name" < /dev/null > {DIRECTORY}/log 2>&1; then
    cat {DIRECTORY}/log >&2
    exit 1
fi
"""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox that Docker knows nothing of."""

    node: LabNode
    runsc: str
    name: str

    def says(self, *command: str) -> str:
        """What a command inside says."""
        exec_ = (self.runsc, "--root", f"{DIRECTORY}/root", "exec", self.name, *command)
        return self.node.exec(*exec_).stdout.strip()

    @property
    def pid(self) -> int:
        """Its process on the node."""
        state = self.node.exec(self.runsc, "--root", f"{DIRECTORY}/root", "state", self.name)
        return int(json.loads(state.stdout)["pid"])

    @property
    def program(self) -> str:
        """What its process runs."""
        return self.node.exec("readlink", f"/proc/{self.pid}/exe").stdout.strip()

    def ticks(self) -> int:
        """CPU time of the process so far, in hundredths of a second: proc(5), utime and stime."""
        stat = self.node.exec("cat", f"/proc/{self.pid}/stat").stdout.rpartition(")")[2].split()
        return int(stat[11]) + int(stat[12])


@contextmanager
def sandbox(
    node: LabNode,
    runsc: str,
    name: str,
    *flags: str,
    network: str = "none",
    devices: tuple[dict[str, Any], ...] = (),
) -> Iterator[Sandbox]:
    """A sandbox from that runsc, which is gone afterwards; ``devices`` as its spec has them."""
    config = {**CONFIG, "linux": {**CONFIG["linux"], "devices": devices}}
    node.put(f"{DIRECTORY}/config.json", json.dumps(config).encode())
    sh(node, _START, runsc, name, f"--network={network}", *flags)
    try:
        yield Sandbox(node, runsc, name)
    finally:
        node.exec(runsc, "--root", f"{DIRECTORY}/root", "delete", "-force", name)
