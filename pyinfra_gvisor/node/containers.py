"""Running containers: the runtime that each asks for, and the one that it really has."""

from __future__ import annotations

import json

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.sandbox.verdict import RELEASES_DIR, NodeFacts, Process, Verdict, judge


class Container(Reading):
    """
    A running container. ``runtime`` is what it asks for, ``verdict`` is what was observed.

    ``mounted``: the sources of its mounts.
    """

    id: str
    name: str
    pid: int
    runtime: str
    auto_remove: bool
    mounted: tuple[str, ...]
    process: Process
    verdict: Verdict

    @property
    def docker_socket(self) -> bool:
        """Return True if Docker's socket is mounted, and so the container is root on the node."""
        return not {*self.mounted}.isdisjoint(("/var/run/docker.sock", "/run/docker.sock"))

    @property
    def sandboxed(self) -> bool:
        """Return True if the container was observed to run in gVisor."""
        return self.verdict.state == "sandboxed"

    @property
    def release(self) -> str | None:
        """Return the release of ours whose files the container needs, None if it needs none."""
        prefix = RELEASES_DIR + "/"
        for path in (self.process.file, self.process.executable):
            if path.startswith(prefix):
                return path.removeprefix(prefix).split("/")[0]
        return self.verdict.release


def read_containers(
    processes: list[str], containers: list[str], ground: NodeFacts
) -> tuple[Container, ...]:
    """
    Return the containers that ``node/docker_state.pl`` described, sorted by name.

    Raises ``ValueError``, ``LookupError`` or ``TypeError`` if a line is malformed.
    """
    seen = dict(_process(line) for line in processes)
    found = []
    for line in containers:
        document = json.loads(line)
        host, pid = document["HostConfig"], document["State"]["Pid"]
        mounted = tuple(mount.get("Source") or "" for mount in document.get("Mounts") or ())
        asked, process = host.get("Runtime") or "runc", seen.get(str(pid), Process())
        found.append(
            Container(
                id=document["Id"],
                name=document["Name"].removeprefix("/"),
                pid=pid,
                runtime=asked,
                auto_remove=bool(host.get("AutoRemove")),
                mounted=mounted,
                process=process,
                verdict=judge(asked, process, ground),
            )
        )
    return tuple(sorted(found, key=lambda container: container.name))


def _process(line: str) -> tuple[str, Process]:
    pid, _, rest = line.partition(" ")
    executable, argv0, file, given, sha256 = rest.split("\t")
    seen = {"executable": executable, "argv0": argv0, "file": file, "sha256": sha256}
    return pid, Process(**seen, given=given == "1")
