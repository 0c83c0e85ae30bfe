"""What a node looks like: its files, its dockerd, its containers, and what must not be left."""

import json
import re
from typing import Any

from tools.lab import LabNode

_LISTING = r"""
find /etc /opt /usr/local /root /home /srv /var/lib/pyinfra-gvisor /run/pyinfra-gvisor /var/tmp \
    /var/lib/apt /var/lib/dpkg -xdev ! -type d ! -name '*.lock' ! -name changes \
    -printf '%p %y %M %u %s %T@ %l\n' 2>/dev/null | sort
find /etc /opt /usr/local /root /home /srv /var/lib/pyinfra-gvisor /run/pyinfra-gvisor /var/tmp \
    -xdev -type d -printf '%p %M %u\n' 2>/dev/null | sort
ls -la /var/lib/docker/runtimes 2>/dev/null
docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'
docker images -a --no-trunc --format '{{.ID}}' | sort
docker network ls --no-trunc --format '{{.ID}}'
docker volume ls -q
docker info --format \
    '{{json .Runtimes}} {{.LiveRestoreEnabled}} {{json .SecurityOptions}} {{.DefaultRuntime}}'
cat /run/docker.pid
"""


def snapshot(node: LabNode) -> str:
    """Return everything that a deploy could change on a node: files, containers, dockerd."""
    listing = node.exec("sh", "-c", _LISTING).stdout
    return f"{listing}\n{json.dumps(processes(node))}"


# By the directories of containerd: a start of Docker's client less than to ask for a list.
_RUNNING = """
cd /run
ls -d containerd/*/moby/* docker/containerd/daemon/*/moby/* 2> /dev/null | sed 's,.*/,,' |
    xargs -r docker inspect --format '{{.Name}} {{.State.Pid}};'
"""


def processes(node: LabNode) -> dict[str, int]:
    """Return the pid of every running container, by name."""
    found = re.findall(r"/(\S+) ([1-9]\d*);", node.exec("sh", "-c", _RUNNING).stdout)
    return {name: int(pid) for name, pid in found}


def daemon_json(node: LabNode) -> str:
    """Return the text of daemon.json."""
    return node.exec("cat", "/etc/docker/daemon.json").stdout


def docker_info(node: LabNode) -> dict[str, Any]:
    """Return the daemon's own information."""
    found: dict[str, Any] = json.loads(node.exec("docker", "info", "--format", "{{json .}}").stdout)
    return found


def no_leftovers(node: LabNode) -> str:
    """Return what a run must not leave, one line each; empty if all is clean."""
    look = (
        "ls -A /etc/docker | grep -v -e '^daemon.json$' -e '^key.json$';"
        "iptables-save | grep PYINFRA; nft list tables | grep held;"
        "find /run/systemd/system -name 'zz-pyinfra*';"
        "find /etc/systemd/system -name 'pyinfra*' ! -name 'pyinfra-gvisor-scripts.*'"
        " ! -name 'pyinfra-gvisor-keeper.*';"
        "ls -A /opt/gvisor/releases 2>/dev/null | grep '^\\.';"
        "ls -A /var/lib/pyinfra-gvisor 2>/dev/null | grep -e '^\\.' -e '^pending';"
        "ls -A /var/lib/pyinfra-gvisor/generations 2>/dev/null | grep -v '^[0-9]*$';"
        "ls -A /run/pyinfra-gvisor 2>/dev/null | grep -v -e 'lock$' -e '^runtimes$'"
        " -e '^permits$' -e '^mounts$';"
        "find /run/pyinfra-gvisor/permits /run/pyinfra-gvisor/mounts -type f 2>/dev/null;"
        "docker ps -aq --filter label=pyinfra-gvisor.probe; docker images -q pyinfra-gvisor-probe;"
        "docker network ls -q --filter label=pyinfra-gvisor.probe; ls -A /var/tmp | grep pyinfra"
    )
    return node.exec("sh", "-c", look).stdout
