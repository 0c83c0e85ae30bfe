"""A running container: what it asked for, and what its process is."""

from __future__ import annotations

import json

from pyinfra_gvisor.reading import Reading

RELEASES_DIR = "/opt/gvisor/releases"


class Container(Reading):
    """
    A running container. ``runtime`` is what was asked for, ``release`` what its process is.

    ``here``: the file that it runs is the node's own of that path, and not an image's.
    """

    id: str
    name: str
    pid: int
    runtime: str
    auto_remove: bool
    docker_socket: bool
    executable: str
    argv0: str
    here: bool

    @property
    def sandboxed(self) -> bool:
        """
        Whether its process is gVisor's, as /proc shows it, whatever it asked for.

        An image may have any path and its process any name, but never the node's own file.
        """
        return self.argv0 == "runsc-sandbox" and self.here

    @property
    def release(self) -> str | None:
        """The release directory that its sandbox runs from, or None if it is none of ours."""
        prefix = RELEASES_DIR + "/"
        return (
            self.executable.removeprefix(prefix).split("/")[0]
            if self.executable.startswith(prefix)
            else None
        )


def read_containers(processes: list[str], containers: list[str]) -> tuple[Container, ...]:
    """
    The containers that ``scripts/docker_state.sh`` described, by name.

    Raises ``ValueError``, ``LookupError`` or ``TypeError`` if a line is malformed.
    """
    seen = {line.split(" ", 1)[0]: line.split(" ", 1)[1].split("\t") for line in processes}
    found = []
    for line in containers:
        document = json.loads(line)
        host, pid = document["HostConfig"], document["State"]["Pid"]
        executable, argv0, here = seen.get(str(pid), ("", "", ""))
        mounted = [mount.get("Source", "") for mount in document.get("Mounts") or ()]
        found.append(
            Container(
                id=document["Id"],
                name=document["Name"].removeprefix("/"),
                pid=pid,
                runtime=host.get("Runtime") or "runc",
                auto_remove=bool(host.get("AutoRemove")),
                docker_socket=any(
                    path in ("/var/run/docker.sock", "/run/docker.sock") for path in mounted
                ),
                executable=executable,
                argv0=argv0,
                here=here == "here",
            )
        )
    return tuple(sorted(found, key=lambda container: container.name))
