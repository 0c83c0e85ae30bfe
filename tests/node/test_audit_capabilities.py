"""Capabilities as a container has them, under runc and in a sandbox, and what the audit says."""

import pytest

from tests.node.audits import LABELS, audit, sh
from tests.node.containers import remove_container, start_container
from tests.node.running import Fleet
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

NODE = "lived-in"
BIND = (
    "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die;"
    ' print bind($s, sockaddr_in(80, INADDR_ANY)) ? "bound" : "$!"'
)


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_port_80_needs_no_capability_with_the_hosts_network(
    converged: dict[str, LabNode], runtime: str
) -> None:
    node = converged[NODE]
    start_container(node, "shop", f"--runtime={runtime}", "--cap-drop=ALL")

    ran = node.exec("docker", "exec", "shop", "perl", "-e", BIND)

    remove_container(node, "shop")
    assert ran.stdout == "bound", ran.stderr


STRAY = """
set -eu
mkdir -p /root/bare/usr /root/bare/proc /root/bare/sys /root/bare/dev
for link in bin lib lib64; do ln -sfn "usr/$link" "/root/bare/$link"; done
ctr -n other run -d --mount type=bind,src=/usr,dst=/usr,options=rbind:ro --rootfs /root/bare \\
    stray /usr/bin/sleep 600
ln -sfn /var/lib/docker /srv/data
docker volume create -o type=none -o o=bind -o device=/opt/gvisor/runtimes sneaky
"""
AWAY = """
docker volume rm sneaky
ctr -n other tasks kill -s 9 stray
sleep 0.5
ctr -n other containers rm stray
ctr namespaces rm other
rm -rf /root/bare /srv/data
"""


def test_all_that_an_app_was_given_is_found_and_so_is_an_engine_beside_docker(fleet: Fleet) -> None:
    node = fleet.nodes[NODE]
    sh(node, STRAY)
    app = (*LABELS, "--runtime=runsc", "--cap-drop=NET_RAW")
    start_container(node, "shop", *app, "--device=/dev/fuse:/dev/sda", "-v=/var/run:/r:ro")
    start_container(node, "shop2", *app, "--security-opt=seccomp=unconfined", "-v=sneaky:/v")
    note = ("--annotation=io.kubernetes.cri.sandbox-name=x", "--annotation=dev.gvisor.new=x")
    start_container(node, "shop3", *app, *note, "-v=/srv/data:/d")
    forged = "cp /usr/bin/sleep /tmp/dockerd; exec /tmp/dockerd 600"
    sh(node, f"docker run -d --name forger --pid=host -v /usr:/usr:ro test:1 sh -c '{forged}'")

    seen = audit(fleet, NODE)

    for name in ("shop", "shop2", "shop3", "forger"):
        remove_container(node, name)
    sh(node, AWAY)
    found = {key: (item["severity"], item["evidence"]) for key, item in seen.found.items()}
    assert found["container-device shop"] == ("medium", "/dev/fuse as /dev/sda (rwm)")
    assert found["container-docker-socket shop"][0] == "high"
    assert found["container-gvisor-path shop"][1].endswith("holds /run/pyinfra-gvisor) (ro)")
    assert found["container-gvisor-path shop2"][0] == "critical"
    assert found["container-capabilities-kept shop"][1] == "dropped: NET_RAW; kept by default: 13"
    assert found["container-seccomp shop2"] == ("low", "seccomp=unconfined")
    assert "dev.gvisor.new=x is unknown to this audit" in found["container-annotation shop3"][1]
    paths = [
        item["evidence"]
        for item in seen.report["findings"]
        if (item["id"], item["subject"]) == ("container-host-path", "shop3")
    ]
    assert paths == ["mounted: /srv/data (is /var/lib/docker), /usr"]
    socket = "/run/containerd/containerd.sock"
    assert found[f"container-unowned namespace other at {socket}"][1].endswith(": stray")
    assert [key for key in found if key.startswith("engine-unknown")] == []


SOCKET = "/srv/engine/own.sock"
BY_FLAG = f"""
cp -a /etc/default/docker /root/default.before
echo 'DOCKER_OPTS="-H unix://{SOCKET}"' >> /etc/default/docker
systemctl reset-failed docker
systemctl restart docker
"""
NOT_BY_FLAG = """
mv /root/default.before /etc/default/docker
systemctl reset-failed docker
systemctl restart docker
"""
BY_KEY = f"""
echo '{{"hosts": ["unix:///run/docker.sock", "unix://{SOCKET}"]}}' > /etc/docker/daemon.json
service docker restart
until docker version > /dev/null 2>&1; do sleep 0.1; done
"""
NOT_BY_KEY = """
rm /etc/docker/daemon.json
service docker restart
until docker version > /dev/null 2>&1; do sleep 0.1; done
"""


@table(
    "name, begin, end",
    {
        "flag": (NODE, BY_FLAG, NOT_BY_FLAG),
        "hosts-in-daemon.json": ("sysvinit", BY_KEY, NOT_BY_KEY),
    },
)
def test_a_socket_that_only_this_dockerd_has_is_guarded_as_dockers_own_is(
    fleet: Fleet, name: str, begin: str, end: str
) -> None:
    node = fleet.nodes[name]
    sh(node, f"mkdir -p /srv/engine; {begin}")
    start_container(node, "shop", *LABELS, f"-v={SOCKET}:/s")
    start_container(node, "shop2", *LABELS, "-v=/srv:/s:ro")
    answer = sh(node, f"docker -H unix://{SOCKET} ps --format '{{{{.Names}}}}'").split()

    found = audit(fleet, name).found

    for app in ("shop", "shop2"):
        remove_container(node, app)
    sh(node, f"{end}\nrm -r /srv/engine")
    assert {"shop", "shop2"} <= set(answer)
    told = [found[f"container-docker-socket {app}"] for app in ("shop", "shop2")]
    assert [item["severity"] for item in told] == ["critical", "critical"]
    assert [item["evidence"] for item in told] == [
        f"mounted: {SOCKET}; the container was not seen in gVisor",
        f"mounted: /srv (holds {SOCKET}); the container was not seen in gVisor",
    ]
