"""
What ``node/node_state.sh`` prints for a node, and the ``Node`` that it makes.

A test names what its node has; everything else is a plain Debian 13 node with a running Docker.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.daemon_json.transaction import transaction
from pyinfra_gvisor.node import Node, parse_node
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.sandbox.verdict import PROGRAMS

END = "end of node state"
BOOT_ID = "3b1d5c52-6f31-4d57-9d5e-5a1b7d1f0c11"
BOOTED_S = 1_700_000_000
DOCKERD_TICKS = 6_000
STARTED_S = BOOTED_S + DOCKERD_TICKS // 100
EARLIER_S = STARTED_S - 30
LATER_S = STARTED_S + 30
IDENTITY = f"{BOOT_ID}/812/{DOCKERD_TICKS}"
UNIT_FLAGS = ("-H", "fd://", "--containerd=/run/containerd/containerd.sock")

RUNSC = {"path": "/opt/gvisor/runtimes/runsc-20260928.0-0a1b2c3d"}


@dataclass(frozen=True)
class Running:
    """A running container, as Docker and /proc show it."""

    name: str
    pid: int = 4711
    runtime: str = "runc"
    auto_remove: bool = False
    mounts: tuple[str, ...] = ()
    kind: str = "bind"
    writable: bool = True
    places: Mapping[str, list[str]] | None = None
    executable: str = "/usr/bin/sleep"
    argv0: str = "sleep"
    here: bool = True
    given_its_program: bool = False
    sha256: str = ""
    given: Mapping[str, Any] | None = None

    def lines(self) -> list[str]:
        """The two lines that the script prints for it."""
        document: dict[str, Any] = {
            "Id": hashlib.sha256(self.name.encode()).hexdigest(),
            "Name": f"/{self.name}",
            "State": {"Status": "running", "Pid": self.pid},
            "HostConfig": {"Runtime": self.runtime, "AutoRemove": self.auto_remove},
            "Mounts": [
                {"Type": self.kind, "Source": source, "RW": self.writable} for source in self.mounts
            ],
            "Places": dict(self.places or {}),
        }
        if self.given is not None:
            document["Given"] = dict(self.given)
        file = self.executable if self.here else ""
        return [
            "\t".join(
                (
                    f"process {self.pid} {self.executable}",
                    *(self.argv0, file, str(int(self.given_its_program)), self.sha256),
                )
            ),
            f"container {compact(document)}",
        ]


def in_base64(text: str) -> str:
    """``text`` as the script prints what a file holds."""
    return base64.b64encode(text.encode()).decode()


def compact(value: object) -> str:
    """``value`` as Docker writes JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def info(
    *,
    runtimes: Mapping[str, Any] | None = None,
    default_runtime: str = "runc",
    live_restore: bool = False,
    swarm: str = "inactive",
    **others: Any,
) -> dict[str, Any]:
    """The daemon's answer to ``/info``; what it is told of is beside the runtimes it has anyway."""
    builtin = {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}}
    return {
        "ID": "a6f2a0b4",
        "ServerVersion": "29.8.2",
        "Runtimes": {**builtin, **(runtimes or {})},
        "DefaultRuntime": default_runtime,
        "LiveRestoreEnabled": live_restore,
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"],
        "DockerRootDir": "/var/lib/docker",
        "LoggingDriver": "json-file",
        "CgroupDriver": "systemd",
        "Swarm": {"NodeID": "", "LocalNodeState": swarm},
        **others,
    }


def daemon_json_line(text: str | bytes | None, mtime_s: int) -> str:
    """The line for a daemon.json with this content."""
    if text is None:
        return "daemon_json absent"
    content = text if isinstance(text, bytes) else text.encode()
    digest = hashlib.sha256(content).hexdigest()
    encoded = base64.b64encode(content).decode()
    return f"daemon_json text 644 0:0 {mtime_s} {digest} {encoded}"


MACHINE = {
    "uname": "6.12.9+deb13-amd64 x86_64",
    "page_size": "4096",
    "cgroup": "2",
    "init": "systemd",
    "max_user_namespaces": "63254",
    "boot_id": BOOT_ID,
    "os": "debian 13 trixie",
    "python": "3.13 asyncio ctypes dataclasses json",
    "supervisor": "systemd docker.service",
}


def answer(
    *,
    daemon_json: str | bytes | None = None,
    mtime_s: int = EARLIER_S,
    docker: Mapping[str, Any] | None = None,
    flags: Iterable[str] = UNIT_FLAGS,
    ticks: int = DOCKERD_TICKS,
    containers: Iterable[Running] = (),
    releases: Iterable[str] = (),
    damaged: Iterable[str] = (),
    wrappers: Mapping[str, str] | None = None,
    state: Mapping[str, object] | None = None,
    without: Iterable[str] = (),
    **lines: str,
) -> list[str]:
    """
    The script's output, line by line.

    + docker: what ``info`` made; without it a plain daemon
    + without: keys to leave out, such as ``info``; lines: single ones by key, such as ``uname``
    """
    arguments = "\0".join(("/usr/sbin/dockerd", *flags)) + "\0"
    known = {
        **MACHINE,
        "dockerd": f"812 {ticks} {base64.b64encode(arguments.encode()).decode()}",
        "clock": f"{BOOTED_S + 5000} 5000.00",
        "docker_client": "docker",
        "info": compact(info() if docker is None else docker),
        "daemon_json": daemon_json_line(daemon_json, mtime_s).removeprefix("daemon_json "),
        **_records(state or {}),
        **lines,
    }
    return [
        *(f"{key} {value}" for key, value in known.items() if key not in set(without)),
        *(line for release in releases for line in installed(release)),
        *(f"release {release}" for release in damaged),
        *(f"wrapper {digest} {path}" for path, digest in (wrappers or {}).items()),
        *(line for container in containers for line in container.lines()),
        END,
    ]


def _records(state: Mapping[str, object]) -> dict[str, str]:
    """The records as a transaction leaves them: beside the others what is ours, and its copy."""
    owned = state.get("owned", {"paths": {}})
    ours = {"owned": owned, "owned.copy": owned} if {"owned", "applied"} & state.keys() else {}
    return {f"state.{name}": in_base64(compact(value)) for name, value in {**ours, **state}.items()}


def program_sha256(release: str, program: str = "runsc") -> str:
    """What the manifest of a release has of a program."""
    return hashlib.sha256(f"{release}/{program}".encode()).hexdigest()


def installed(release: str, **manifest: Any) -> list[str]:
    """The lines for a release that is as it was installed."""
    rest = "f 755 0:0 60000000 1764000000.1000000000 1764000000.1000000000"
    stat = [f"{program} {rest}" for program in PROGRAMS]
    record = {
        "release": release,
        "source": "https://example.com/gvisor.tar.bz2",
        "sha512": dict(known(release, "x86_64")),
        "installed_at": "2026-11-24T20:00:00Z",
        "members": {program: program_sha256(release, program) for program in PROGRAMS},
    }
    return [
        f"release {release}",
        f"manifest {release} {compact({**record, 'stat': stat, **manifest})}",
        *(f"member {release}/{line}" for line in manifest.get("stat", stat)),
    ]


def node(**given: Any) -> Node:
    """The node whose ``answer`` this is."""
    return parse_node(answer(**given))


def applied(started_with: Mapping[str, Json] | None, identity: str = IDENTITY) -> dict[str, Any]:
    """The record of a transaction that came to its end."""
    return {"dockerd": identity, "started_with": started_with}


def records(plan: Plan, found: Node) -> dict[str, Any]:
    """What the transaction writes down: ``intent`` first, ``owned`` and ``applied`` at the end."""
    script = transaction(plan, found, host="run-1", timeout_s=60, wait_s=300)
    written = re.findall(r"^(intent|owned|applied)_b64=(\S+)$", script, re.MULTILINE)
    return {name: json.loads(base64.b64decode(value)) for name, value in written}


def after(plan: Plan) -> dict[str, Any]:
    """
    What ``answer`` has to be given for a node on which ``plan`` was carried out.

    The file was written just now and the process is the one that was seen before.
    """
    value = json.loads(plan.after or "{}")
    written = records(plan, node())
    return {
        "daemon_json": plan.after,
        "mtime_s": LATER_S,
        "docker": info(
            runtimes=value.get("runtimes"),
            default_runtime=value.get("default-runtime", "runc"),
            live_restore=value.get("live-restore", False),
        ),
        "state": {
            "owned": written["owned"],
            "applied": {**written["applied"], "dockerd": IDENTITY},
        },
    }
