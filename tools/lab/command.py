"""Run commands in a running container, and return their whole output."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

from docker import DockerClient
from docker.errors import create_api_error_from_http_exception
from docker.models.containers import Container
from requests import HTTPError

_STDOUT, _STDERR = 1, 2
_IS_FIRST = re.compile(r"^NSpid:\t\d+\t1$", re.MULTILINE)
"""In /proc/pid/status, for PID 1 in a namespace right below this one: proc_pid_status(5)."""
_HEAD_BYTES = 8


class Ran(NamedTuple):
    """How a command in a node ended."""

    code: int
    stdout: str
    stderr: str


def run(container: Container, command: list[str], user: str) -> Ran:
    """
    Run a command to its end, with empty standard input. Raise ``DockerException``.

    If this is root, enter the container's namespaces directly: ten times faster than Docker's exec.
    """
    if user == "root" and os.geteuid() == 0 and (entering := _entering(container)):
        ran = subprocess.run(
            [*entering, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
        )
        return Ran(
            ran.returncode, *(text.decode(errors="replace") for text in (ran.stdout, ran.stderr))
        )
    return _run_by_docker(container, command, user)


PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as Docker has it
# Arguments: PID 1 of the container, a cgroup.procs file for each hierarchy, "", the command.
_ENTER = """
first=$1
shift
while [ -n "$1" ]; do
    echo 0 > "$1"
    shift
done
shift
exec nsenter --target "$first" --mount --uts --ipc --net --pid --cgroup -- env -i "$@"
"""


def _entering(container: Container) -> list[str]:
    """Return the words that enter the container; empty if only Docker can run commands in it."""
    found = _entering_as_known(container)
    if not found:  # it was started again since it was looked at
        container.reload()
        found = _entering_as_known(container)
    return found


def _entering_as_known(container: Container) -> list[str]:
    first = int(container.attrs["State"]["Pid"])
    try:
        known = Path(f"/proc/{first}/cgroup").read_text()
        is_first = _IS_FIRST.search(Path(f"/proc/{first}/status").read_text())
    except OSError:  # the container does not run, or has just ended
        return []
    if not is_first or str(container.id) not in known:  # another process, or another machine
        return []
    config = container.attrs["Config"]
    environment = [PATH, f"HOSTNAME={config['Hostname']}", *config["Env"], "HOME=/root"]
    groups = [line.split(":", 2)[1:] for line in known.splitlines()]
    files = [
        str(file) for names, path in groups if (file := _procs(names, path, container)).exists()
    ]
    return ["sh", "-c", _ENTER, "sh", str(first), *files, "", *environment]


def _procs(names: str, path: str, container: Container) -> Path:
    """Return the cgroup.procs file of a line of /proc/pid/cgroup: cgroups(7)."""
    below = path.lstrip("/")
    if not names:
        both = Path("/sys/fs/cgroup/unified")  # beside hierarchies of version 1
        return (both if both.exists() else both.parent) / below / "cgroup.procs"
    # The container's own group, not one that its init has made below.
    above, id_, _ = below.partition(str(container.id))
    return Path("/sys/fs/cgroup", names.removeprefix("name="), above + id_, "cgroup.procs")


def _run_by_docker(container: Container, command: list[str], user: str) -> Ran:
    """
    Run a command through Docker's API.

    docker-py's own ``exec_run`` bypasses its HTTP client and reads the socket itself:
    ``_read_from_socket`` in docker/api/client.py. Output that arrives together with the head of
    the answer is lost.
    Without ``Upgrade`` Docker's answer is an ordinary body, which ends with the command.
    """
    api = cast("DockerClient", container.client).api
    made = api.exec_create(container.id, command, user=user)["Id"]
    url = f"{api.base_url}/v{api.api_version}/exec/{made}/start"
    with api.post(url, json={"Detach": False, "Tty": False}) as answer:
        try:
            answer.raise_for_status()
        except HTTPError as error:
            create_api_error_from_http_exception(error)
        frames = [*_frames(answer.content)]
    said = (b"".join(text for kind, text in frames if kind == of) for of in (_STDOUT, _STDERR))
    stdout, stderr = (text.decode(errors="replace") for text in said)
    code = api.exec_inspect(made)["ExitCode"]
    return Ran(-1 if code is None else code, stdout, stderr)


def _frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield stream number and bytes: Docker Engine API, ContainerAttach, "Stream format"."""
    while body:
        end = _HEAD_BYTES + int.from_bytes(body[4:_HEAD_BYTES], "big")
        yield body[0], body[_HEAD_BYTES:end]
        body = body[end:]
