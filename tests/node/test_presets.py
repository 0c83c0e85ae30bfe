"""What a preset is for works with it and not without it."""

import pytest

from pyinfra_gvisor.runtimes.presets import PRESETS
from tests.node.containers import remove_containers, start_container
from tests.node.running import CURRENT, Fleet
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

NODE = "plain"
SERVER = "import socket; s = socket.socket(1); s.bind('/data/s'); s.listen(); s.accept()"
CLIENT = "import socket; s = socket.socket(1); s.connect('/data/s')"
PING = """
import socket
s = socket.socket(2, 3, 1)
s.settimeout(5)
s.sendto(bytes([8, 0, 0xf7, 0xfd, 0, 1, 0, 1]), ('127.0.0.1', 0))
assert s.recv(99)
"""
# By preset: what works with it alone. $1: the runtime. Each prints "yes" if it works.
WORKS = {
    "shared-sockets": f"""
        docker volume create preset-data > /dev/null
        run server -v preset-data:/data -- python3 -c "{SERVER}"
        for try in 1 2 3 4 5 6 7 8; do
            docker exec preset-server test -S /data/s && break
            sleep 0.5
        done
        run client -v preset-data:/data -- sleep 99
        docker exec preset-client python3 -c "{CLIENT}" && echo yes
    """,
    "ping": f"""
        run app --cap-add NET_RAW -- sleep 99
        docker exec preset-app python3 -c "{PING}" && echo yes
    """,
    "setuid": """
        run app --security-opt no-new-privileges=false -- sleep 99
        docker exec preset-app sh -c 'cp /usr/bin/id /id; chmod 4755 /id'
        docker exec --user 1000 preset-app /id -u | grep -qx 0 && echo yes
    """,
    "docker-cp": """
        run app -- sleep 99
        docker exec preset-app sh -c 'ls /; echo out > /out'
        docker cp /etc/hostname preset-app:/in
        docker exec preset-app cat /in && docker cp preset-app:/out - && echo yes
    """,
    "scratch": """
        run app -- sleep 99
        docker exec preset-app sh -c 'echo kept > /kept'
        docker restart -t 0 preset-app > /dev/null
        docker exec preset-app cat /kept || echo yes
    """,
}
_RUN = """
runtime=$1
run() { # name, options, --, command
    name=preset-$1 options=''
    shift
    while [ "$1" != -- ]; do options="$options $1"; shift; done
    shift
    set -- $options test:1 "$@"
    docker run -d --name "$name" --runtime "$runtime" -v /usr:/usr:ro "$@" > /dev/null
}
"""


@pytest.fixture(scope="module")
def node(fleet: Fleet) -> LabNode:
    """A node with a runtime for each preset, named by its first word, and the usual one."""
    runtimes = {name.partition("-")[0]: {"preset": name} for name in PRESETS}
    fleet.deploy(NODE, data={**CURRENT, "gvisor_runtimes": {"runsc": {}, **runtimes}})
    start_container(fleet.nodes[NODE], "preset-image")  # makes the image
    return fleet.nodes[NODE]


@pytest.mark.parametrize("name", PRESETS)
def test_it_works_with_the_preset_and_not_without(node: LabNode, name: str) -> None:
    said = {}
    for runtime in ("runsc", name.partition("-")[0]):
        ran = node.exec("sh", "-c", f"{_RUN}{WORKS[name]}", "sh", runtime)
        said[runtime] = "yes" in ran.stdout.splitlines(), ran.stderr[-500:]
        remove_containers(node, "^/preset-")
        node.exec("docker", "volume", "rm", "preset-data")

    assert [works for works, _ in said.values()] == [False, True], said


def test_every_preset_has_been_tried() -> None:
    assert {*WORKS} == {*PRESETS}
