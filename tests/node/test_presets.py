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
        docker exec preset-app sh -c 'mkdir /d; echo old > /d/f; cat /d/f'
        echo new > /root/preset
        docker cp -q /root/preset preset-app:/d/f
        docker exec preset-app grep -qx new /d/f && echo yes
        rm /root/preset
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


def works(node: LabNode, runtime: str, script: str) -> bool:
    """Whether a script says yes; nothing of it is left."""
    ran = node.exec("sh", "-c", f"{_RUN}{script}", "sh", runtime)
    remove_containers(node, "^/preset-")
    node.exec("docker", "volume", "rm", "preset-data")
    return "yes" in ran.stdout.splitlines()


def test_each_works_with_its_preset_and_not_without(fleet: Fleet) -> None:
    runtimes = {name: name.partition("-")[0] for name in PRESETS}
    declared = {runtime: {"preset": name} for name, runtime in runtimes.items()}
    fleet.deploy(NODE, data={**CURRENT, "gvisor_runtimes": {"runsc": {}, **declared}})
    node = fleet.nodes[NODE]
    start_container(node, "preset-image")  # makes the image
    remove_containers(node, "^/preset-")

    without = {name: works(node, "runsc", WORKS[name]) for name in PRESETS}
    found = {name: works(node, runtime, WORKS[name]) for name, runtime in runtimes.items()}

    assert without == dict.fromkeys(PRESETS, False)
    assert found == dict.fromkeys(PRESETS, True)
