"""Programs that are run on a node, and containers that tests start there."""

import time

from tools.lab import LabNode

REMOVAL_S = 60


def must(node: LabNode, *command: str) -> str:
    """Run a command on a node, which must succeed; return its output."""
    ran = node.exec(*command)
    assert ran.code == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


_START = r"""
set -eu
if ! docker image inspect test:1 > /dev/null 2>&1; then
    mkdir -p /root/tree/proc /root/tree/sys /root/tree/dev /root/tree/tmp /root/tree/etc
    for link in bin lib lib64; do ln -sfn "usr/$link" "/root/tree/$link"; done
    tar -C /root/tree -c . | docker import - test:1 > /dev/null
    rm -rf /root/tree
fi
name=$1
shift
docker run -d --name "$name" -v /usr:/usr:ro "$@" test:1 sleep infinity > /dev/null
"""

_REMOVE = r"""
set -eu
containers=$(docker ps -aq --filter "name=$1")
printf '%s\n' $containers | xargs -r docker rm -f
"""


def start_container(node: LabNode, name: str, *options: str) -> None:
    """Start a container with the node's own programs; ``options`` are those of ``docker run``."""
    must(node, "sh", "-c", _START, "sh", name, *options)


def remove_container(node: LabNode, name: str) -> None:
    """Remove a container that a test started."""
    remove_containers(node, f"^/{name}$")


def remove_containers(node: LabNode, names: str) -> None:
    """
    Away with those whose names match the expression, or the test fails: the next would meet them.

    On a busy machine Docker may be told of an end too late ("did not receive an exit event").
    """
    tries = [node.exec("sh", "-c", _REMOVE, "sh", names)]
    until_s = time.monotonic() + REMOVAL_S
    while tries[-1].code != 0 and time.monotonic() < until_s:
        time.sleep(0.5)
        tries.append(node.exec("sh", "-c", _REMOVE, "sh", names))
    assert tries[-1].code == 0, tries
