"""Containers that want to be taken for the platform's own, or that want the node's files."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from tests.node.audits import sh
from tests.node.platform_flow import (
    ALLOWED,
    BUILDX,
    HELPER,
    NETWORK,
    PROXY,
    SOCKET,
    UUID,
    WORKDIR,
    Platform,
    commit,
)
from tests.node.running import SENTRY
from tools.lab import LabNode

EVIL = "tenant/evil:1"  # the helper's programs in an image of a tenant
_CANARY, _REACHED = "platform-canary", "platform-reached"  # in the node's /etc
_CONTENT = "a file that no container may read"
_NAME = "q0w0kgk4ws4og8sgs8k4ks0c"  # as a deployment could be called
_SOCKET_INSIDE = SOCKET.rpartition(":")[2]
_SOCKET = f"-v {SOCKET}"
_HELPER = f"--rm -v {BUILDX} {_SOCKET} --name {_NAME}"
_PROXY = "--add-host=host.docker.internal:host-gateway -v /data/coolify/proxy:/traefik"
_IS_PROXY = "--label coolify.managed=true --label coolify.proxy=true"
_DIRECTORY = "--label com.docker.compose.project.working_dir=/data/coolify/proxy"


@dataclass(frozen=True)
class Imitator:
    """
    A container that somebody starts.

    + options: of ``docker run``; without a name there, it is called imitator
    + image: the image, and the command
    + files: where the node's /etc is inside
    + socket: where docker.sock is inside
    """

    options: str
    image: str = EVIL
    files: str = ""
    socket: str = _SOCKET_INSIDE

    @property
    def name(self) -> str:
        """Return the container's name."""
        words = shlex.split(self.options)
        return words[words.index("--name") + 1] if "--name" in words else "imitator"

    def command(self, *more: str) -> str:
        """Return the command that starts it; ``more`` are options that replace the same ones."""
        named = () if "--name" in self.options else ("--name", self.name)
        options = (
            self.options.replace("--runtime runsc", "") if "--runtime" in more else self.options
        )
        return shlex.join(("docker", "run", "-d", *named, *more)) + f" {options} {self.image}"


IMITATORS = {
    "docker.sock": Imitator(_SOCKET),
    "docker.sock by another path": Imitator("-v /run/docker.sock:/var/run/docker.sock"),
    "the directory of docker.sock": Imitator("-v /run:/var/run"),
    "docker.sock, read-only, with --mount": Imitator(
        "--mount type=bind,src=/run/docker.sock,dst=/var/run/docker.sock,readonly"
    ),
    "labels of Coolify": Imitator(
        f"{_SOCKET} --label coolify.managed=true --label coolify.type=helper"
    ),
    "name of the proxy": Imitator(
        f"{_SOCKET}:ro {_PROXY} {_IS_PROXY} {_DIRECTORY} --name coolify-proxy"
    ),
    "image of the proxy, another command": Imitator(
        f"{_SOCKET}:ro {_PROXY} {_IS_PROXY} {_DIRECTORY} --name coolify-proxy",
        f"{PROXY} --ping=true",
    ),
    "image of the proxy, another program": Imitator(
        f"{_SOCKET}:ro {_PROXY} {_IS_PROXY} {_DIRECTORY} --name coolify-proxy --entrypoint sleep",
        f"{PROXY} infinity",
    ),
    "image of the proxy, another project": Imitator(
        f"{_SOCKET}:ro {_PROXY} {_IS_PROXY} --name coolify-proxy"
        " --label com.docker.compose.project.working_dir=/data/coolify/services/x",
        f"{PROXY} --ping=true --providers.docker=true",
    ),
    "name of the sentinel": Imitator(
        f"{_SOCKET} --pid host -v /data/coolify/sentinel:/app/db --name coolify-sentinel"
        " --label coolify.managed=true --add-host=host.docker.internal:host-gateway"
    ),
    "everything of a helper but the image": Imitator(_HELPER),
    "the helper's image, another command": Imitator(_HELPER, f"{HELPER} sleep infinity"),
    "the helper's image, another entrypoint": Imitator(
        f"{_HELPER} --entrypoint tail", f"{HELPER} -f /dev/null"
    ),
    "the helper's image, no entrypoint": Imitator(
        f"{_HELPER} --entrypoint ''", f"{HELPER} tail -f /dev/null"
    ),
    "the helper's image, a health check": Imitator(
        f"{_HELPER} --health-cmd 'docker volume create reached' --health-interval 1s", HELPER
    ),
    "the helper's image, BASH_ENV": Imitator(
        f"{_HELPER} -e 'BASH_ENV=$(docker volume create reached)'", HELPER
    ),
    "the helper's image, LD_PRELOAD": Imitator(f"{_HELPER} -e LD_PRELOAD=/tmp/evil.so", HELPER),
    "the helper's image, PATH": Imitator(f"{_HELPER} -e PATH=/tmp:/bin:/usr/bin", HELPER),
    "the helper's image, DOCKER_CONFIG": Imitator(f"{_HELPER} -e DOCKER_CONFIG=/tmp", HELPER),
    "the helper's image, --init": Imitator(f"{_HELPER} --init", HELPER),
    "the helper's image, a volume over programs": Imitator(
        f"{_HELPER} -v evil:/usr/local/bin", HELPER
    ),
    "the helper's image, a volume over its files": Imitator(f"{_HELPER} -v evil:/root", HELPER),
    "the helper's image, a tmpfs": Imitator(f"{_HELPER} --tmpfs /usr/local/bin", HELPER),
    "the helper's image, --user": Imitator(f"{_HELPER} --user 1000", HELPER),
    "the helper's image, --workdir": Imitator(f"{_HELPER} --workdir /tmp", HELPER),
    "the helper's image, labels of Compose": Imitator(
        f"{_HELPER} --label com.docker.compose.project=shop", HELPER
    ),
    "the helper's image, without --rm": Imitator(_HELPER.replace("--rm ", ""), HELPER),
    "the helper's image, another name": Imitator(_HELPER.replace(_NAME, "shop"), HELPER),
    "the helper's image, privileged": Imitator(f"{_HELPER} --privileged", HELPER),
    "the helper's image, a capability": Imitator(f"{_HELPER} --cap-add SYS_ADMIN", HELPER),
    "the helper's image, the node's processes": Imitator(f"{_HELPER} --pid host", HELPER),
    "the helper's image, the node's network": Imitator(f"{_HELPER} --network host", HELPER),
    "the helper's image, the node's files": Imitator(f"{_HELPER} -v /:/host", HELPER),
    "the mounts of a helper": Imitator(f"--volumes-from {UUID}"),
    "the processes of a helper": Imitator(
        f"--pid container:{UUID}", socket=f"/proc/1/root{_SOCKET_INSIDE}"
    ),
    "the node's files": Imitator("-v /:/host", files="/host/etc"),
    "the node's files, with --mount": Imitator(
        "--mount type=bind,src=/,dst=/host,readonly", files="/host/etc"
    ),
    "the node's files, runsc by name": Imitator("--runtime runsc -v /:/host", files="/host/etc"),
    "docker.sock, runsc by name": Imitator(f"--runtime runsc {_SOCKET}"),
    "a symlink in a directory that is allowed": Imitator(f"-v {ALLOWED}/link:/x", files="/x"),
    "a symlink in the path below that directory": Imitator(f"-v {ALLOWED}/up/etc:/x", files="/x"),
    "dots below that directory": Imitator(f"-v {ALLOWED}/shop/../../../etc:/x", files="/x"),
    "a volume of the node's files": Imitator("-v of-node:/x", files="/x"),
    "a volume made by --mount": Imitator(
        "--mount type=volume,src=of-mount,dst=/x,volume-opt=type=none,volume-opt=o=bind,"
        "volume-opt=device=/etc",
        files="/x",
    ),
}
ALLOWED_ONE = Imitator(f"-v {ALLOWED}/shop:/x -v shop:/y", files="/x")
"""A container that asks only for what it may have."""

_TEMPTED = f"""
set -eu
echo '{_CONTENT}' > /etc/{_CANARY}
mkdir -p {ALLOWED}/shop /data/coolify/sentinel
ln -sfn /etc {ALLOWED}/link
ln -sfn / {ALLOWED}/up
docker volume create evil > /dev/null
docker volume create --opt type=none --opt o=bind --opt device=/etc of-node > /dev/null 2>&1 || :
"""
# Starts containers, looks at what they can use, and removes them. A line each: the number, the
# program of the container's process, what it reached, and Docker's error.
_TRY = f"""
try() {{ # number, container, where the node's /etc and docker.sock are inside, command
    rm -f /etc/{_REACHED}
    docker volume rm reached > /dev/null 2>&1
    exe='' reached=''
    if said=$(sh -c "$5" 2>&1 > /dev/null); then
        exe=$(readlink "/proc/$(docker inspect -f '{{{{.State.Pid}}}}' "$2")/exe")
        look="docker -H unix://$4 volume create reached"
        look="$look; cat $3/{_CANARY}; touch $3/{_REACHED}"
        case "$(docker exec -u 0 "$2" /bin/sh -c "$look" 2>&1)" in
            *'{_CONTENT}'*) reached="$reached read" ;;
        esac
        if [ -e /etc/{_REACHED} ]; then reached="$reached written"; fi
        if docker volume inspect reached > /dev/null 2>&1; then reached="$reached docker.sock"; fi
    fi
    docker rm -f "$2" > /dev/null 2>&1
    printf '%s\\t%s\\t%s\\t%s\\n' "$1" "$exe" "$reached" "$(printf %s "$said" | tr '\\n\\t' '  ')"
}}
"""


@dataclass(frozen=True)
class Came:
    """
    What became of a container.

    + said: Docker's error, empty if the container started
    + program: of its process
    + reached: what it could use of the node
    """

    said: str
    program: str
    reached: str

    @property
    def is_held(self) -> bool:
        """Return True if it was refused by us, or is in gVisor; it reached nothing."""
        refused = "pyinfra-gvisor: " in self.said and self.program == ""
        return not self.reached and (refused or (self.said == "" and self.program == SENTRY))


def tempt(node: LabNode) -> None:
    """Have what containers of tenants would look for, and a tenant's own image."""
    sh(node, _TEMPTED)
    commit(node, HELPER, EVIL, "ENTRYPOINT []")


def start_all(node: LabNode, cases: Mapping[str, Imitator], *options: str) -> dict[str, Came]:
    """Return what became of containers, one after the other, with further options."""
    calls = [
        shlex.join(("try", str(number), case.name, case.files, case.socket, case.command(*options)))
        for number, case in enumerate(cases.values())
    ]
    lines = sh(node, "\n".join((_TRY, *calls))).splitlines()
    rows = [line.split("\t") for line in lines]
    return {
        name: Came(said, exe, reached.strip())
        for name, (_, exe, reached, said) in zip(cases, rows, strict=True)
    }


def poison(platform: Platform) -> dict[str, str]:
    """
    Take the helper's tag for an image of a tenant, by an app's compose file.

    Return what the app was told, and what the next deployment was told.
    """
    path = f"{WORKDIR}/tenant.yaml"
    service = {
        "build": ".",
        "image": HELPER,
        "volumes": [SOCKET],
        "networks": [NETWORK],
    }
    file = {"services": {"web": service}, "networks": {NETWORK: {"external": True}}}
    platform.put_in_helper(f"{WORKDIR}/Dockerfile", f"FROM {EVIL}\nLABEL it=evil\n")
    platform.put_in_helper(path, json.dumps(file))
    app = platform.compose("tenant", path)
    platform.compose("tenant", path, "down")
    platform.stop_helper()
    helper = platform.run_helper()
    return {"app": app.stderr, "helper": helper.stderr}
