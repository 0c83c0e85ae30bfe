"""What ``coolify/state.sh`` prints on a control host that a test describes."""

import base64
import hashlib
import json
from collections.abc import Iterable

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.coolify.compose_file import merged
from pyinfra_gvisor.coolify.control_host import END, ControlHost, parse_control_host
from pyinfra_gvisor.coolify.files import MOUNTS, kept_files, mounted_files

OURS = (*mounted_files(), *kept_files())
HONOURED = '{"runtime":"runscprobe"}'
MASTER = "worker 11 1790000000.25 php artisan horizon"


def php(state: str = "unpatched", *more: str, probe: str | None = "[]") -> list[str]:
    """The patcher's lines."""
    told = [f"function {state}", "name convertDockerRunToCompose", f"sha256 {'a' * 64}"]
    told += ["written_s 1790000001", "stat 644:9999:9999", "version 4.3.11", *more]
    told += [] if probe is None else [f"probe {probe}"]
    return [f"php {line}" for line in (*told, "end")]


def patched(*more: str) -> list[str]:
    """The lines of a function that has our block and works."""
    return php("patched", "block present", *more, probe=HONOURED)


def container(*, running: bool = True, mounts: Iterable[str] = ()) -> str:
    """The line of a container called coolify, with mounts as compose has them."""
    pairs = [mount.split(":")[:2] for mount in mounts]
    document = {
        "Image": "ghcr.io/coollabsio/coolify:4.3.11",
        "Running": running,
        "StartedAt": "2026-10-01T10:00:00Z",
        "Mounts": [{"Source": source, "Destination": target} for source, target in pairs],
    }
    return f"container {json.dumps(document)}"


def compose(text: str) -> str:
    """The line of a docker-compose.custom.yml."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"compose text {digest} {base64.b64encode(text.encode()).decode()}"


def lies(*files: NodeFile, mode: str | None = None, owner: str = "0:0") -> list[str]:
    """The lines of files of ours, as they have to be or with another mode and owner."""
    return [
        line
        for item in files
        for line in (
            f"file sum {item.sha256} {item.path}",
            f"file stat {mode or item.mode}:{owner} {item.path}",
        )
    ]


def answer(*lines: str, docker: bool = True) -> list[str]:
    """A control host that has Docker and Coolify's directory, and what ``lines`` say."""
    first = ["init systemd", "source_dir yes", *(["docker yes"] if docker else [])]
    return [*first, *lines, END]


def persistent(*, mounts: Iterable[str] = MOUNTS, text: str | None = None) -> list[str]:
    """What a control host says of our files on which all of them are."""
    timer = ["timer_enabled yes", "timer active"]
    return [container(mounts=mounts), compose(merged(text, MOUNTS)), *lies(*OURS), *timer]


def host(*lines: str, docker: bool = True) -> ControlHost:
    """The same, read."""
    return parse_control_host(answer(*lines, docker=docker))
