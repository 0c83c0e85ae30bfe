"""Names for many containers at once, and for those that come and go."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.node.audits import sh
from tests.node.containers import remove_containers
from tests.node.names_asking import ASKER, DIRECTORY, asked, peak_kib, said, settled, sockets
from tests.node.names_nodes import ADDRESS, UNIT, Ground
from tests.node.watching import within
from tools.lab import LabNode

pytestmark = pytest.mark.slow

NAME = "names-29"
CHURNED, CROWD, CALLED = 40, 20, 600
CALM, FEW = 2, 100
CALLED_ADDRESS = "172.31.5.200"
MOST_KIB = 40 * 1024
_EVENTS = "docker events --since 60s --until 0s | cut -c1-120 | tail -n 20"

_CHURN = (Path(__file__).parent / "names_churn.py").read_text()
_RUN = "-v /usr:/usr:ro names:1"


@pytest.fixture
def node(names: Ground) -> LabNode:
    """A node with names, and with all containers; what memory is had at most counts from here."""
    node = names.ready(NAME)
    sh(node, f"systemctl restart {UNIT}.service")
    return node


def test_containers_that_come_and_go_have_their_own_names_and_leave_nothing(
    names: Ground, node: LabNode
) -> None:
    node.put("/root/names_asker.py", ASKER.encode())
    sh(node, "docker network create --subnet=172.31.4.0/28 churn")
    addresses = ["172.31.4.2", "172.31.4.3"]
    for number, address in enumerate(addresses):
        options = f"--network=churn --ip={address} --name=churn-{number}"
        sh(node, f"docker run -d {options} {_RUN} sleep infinity")
    names.probe(NAME, "red-gvisor", ["name/red-runc"])
    before, told_before = settled(node), sockets(node)

    wrong = node.exec("python3", "-c", _CHURN, str(CHURNED), *addresses)
    after, told = settled(node, before), sockets(node) + said(node) + sh(node, _EVENTS)
    remove_containers(node, "^/churn-")
    sh(node, "docker network rm churn")

    assert (wrong.code, wrong.stdout) == (0, ""), wrong.stderr
    assert after == before, f"{told_before}\n{told}"


# Arguments: the asker, how many containers, how many names.
_GATHER = f"""
set -eu
rm -rf {DIRECTORY}
mkdir {DIRECTORY}
docker network create --subnet=172.31.5.0/24 crowd > /dev/null
docker run -d --name crowd-0 --network=crowd --ip={CALLED_ADDRESS} \\
    $(seq -f --network-alias=n%g "$3") {_RUN} sleep infinity > /dev/null
seq "$2" | xargs -P 4 -I @ docker run -d --name crowd-@ --hostname crowd-@ --network=crowd \\
    --runtime=gvisor -v {DIRECTORY}:/asked {_RUN} python3 -c "$1" all "$3" > /dev/null
"""
_GO = f"touch {DIRECTORY}/go"
# The first queries wait for about as long; libc would ask a second time after 5 s.
_GO_WHILE_DOCKER_STANDS_STILL = f"""
kill -STOP "$(cat /run/docker.pid)"
{_GO}
sleep 8
kill -CONT "$(cat /run/docker.pid)"
"""


def test_many_containers_ask_for_many_names_at_once_and_none_is_lost(
    names: Ground, node: LabNode
) -> None:
    with crowd(node, CROWD, CALLED):
        found = answered(node, CROWD, _GO)
        peak, told = peak_kib(node), said(node)

    took_s = [item["took_s"] for item in found]
    print(f"{CROWD} x {CALLED}: {min(took_s)} to {max(took_s)} s; peak {peak} KiB")  # noqa: T201
    assert lost(found, CALLED) == [], told
    assert peak < MOST_KIB


def test_no_name_is_lost_while_docker_stands_still(names: Ground, node: LabNode) -> None:
    with crowd(node, CALM, FEW):
        assert asked(node, "crowd-1", "once", "n1", ADDRESS) == CALLED_ADDRESS
        found = answered(node, CALM, _GO_WHILE_DOCKER_STANDS_STILL)
        told = said(node)

    assert lost(found, FEW) == [], told
    assert min(item["took_s"] for item in found) > 5


@contextmanager
def crowd(node: LabNode, containers: int, called: int) -> Iterator[None]:
    """Containers that ask for so many names of another one as soon as they are told to."""
    sh(node, _GATHER, ASKER, str(containers), str(called))
    try:
        yield
    finally:
        remove_containers(node, "^/crowd-")
        sh(node, "docker network rm crowd")


def answered(node: LabNode, containers: int, go: str) -> list[dict[str, Any]]:
    """What came to each of them behind a script that tells them to."""
    sh(node, f"sleep 5\n{go}")
    assert within(300, lambda: len(sh(node, f"ls {DIRECTORY}").split()) == containers + 1)
    came = sh(node, f"cd {DIRECTORY}; for file in crowd-*; do cat $file; echo; done")
    return [json.loads(line) for line in came.splitlines()]


def lost(found: list[dict[str, Any]], called: int) -> list[dict[str, Any]]:
    """What came to those who had not the answer for each name."""
    return [item for item in found if item["came"] != {CALLED_ADDRESS: called}]
