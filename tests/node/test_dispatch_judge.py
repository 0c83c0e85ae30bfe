"""The resident judge: dockerd asks it before it acts, and needs it neither to run nor to start."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.node.audits import audit, sh
from tests.node.dispatching import (
    DEFAULT,
    IMAGE,
    KINDS,
    NEWEST,
    ORIGINAL,
    Ground,
    in_sandbox,
    start,
)
from tests.node.egress_nodes import at_once
from tests.node.faults import wait_for
from tests.node.running import daemon_json, processes, remove_containers
from tools.lab import LabNode

pytestmark = pytest.mark.slow

UNIT = "pyinfra-gvisor-judge"
UNITS = f"/etc/systemd/system/{UNIT}"
PLUGIN = "/run/docker/plugins/pyinfra-gvisor.sock"
DEAD = "/run/docker/plugins/dead.sock"
PYTHON = "/usr/bin/python3"
MAIN_PID = f"systemctl show -p MainPID --value {UNIT}"
WITH_PERMIT = "/opt/gvisor/judge/permit --reason 'the disk has to be looked at' -- docker"
PERMITS = "/run/pyinfra-gvisor/permit-"
DENIED = "authorization denied by plugin pyinfra-gvisor: "
FUZZ = (Path(__file__).parent / "dispatch_fuzz.py").read_text()
DEAD_FILES = (Path(__file__).parent / "dead_files.py").read_text()
WATCHDOG_S = 10
_OPTED = (
    "docker create --mount type=volume,src=evil-b,dst=/bin,volume-opt=type=none,volume-opt=o=bind"
)
_EXPORTER = "quay.io/prometheus/node-exporter:1"
_VOLUME = "docker volume create"
_BRIDGE = "docker network create --subnet"
# What a tenant asks for, by what it does without a door, though no such container starts.
ATTACKS = {
    "make a directory": "docker create -v /usr/local/sbin/runc.x:/x IMAGE",
    "mount the node by its type": "docker create --mount type=bind,src=/etc,dst=/x IMAGE",
    "copy an image into the node": f"{_VOLUME} -o type=none -o o=bind -o device=/opt/empty evil-a",
    "copy it by the container": f"{_OPTED},volume-opt=device=/opt/empty IMAGE",
    "copy it by a relative device": f"{_OPTED},volume-opt=device=opt/empty IMAGE",
    "write a file before the start": "docker cp /etc/hostname old:/x/evil",
    "mount NFS": f"{_VOLUME} -o type=nfs -o o=addr=127.0.0.1 -o device=:/x evil-c",
    "give the node a route": f"{_BRIDGE} 203.0.113.0/24 evil-d",
    "take the metadata service": f"{_BRIDGE} 169.254.169.0/24 evil-e",
    "pass the firewall": "docker network create -d macvlan -o parent=eth0 evil-f",
    "use a bridge of the node": "docker network create -o com.docker.network.bridge.name=lo evil-g",
    "send lines to the node": "docker create --log-driver syslog "
    "--log-opt syslog-address=tcp://127.0.0.1:9 --log-opt tag=x IMAGE",
    "fetch what only the node may": "docker import http://169.254.169.254/ evil",
    "have another runtime": "docker create --runtime io.containerd.runc.v2 IMAGE",
    "have runc": "docker create --runtime runc IMAGE",
    "be privileged": "docker create --privileged IMAGE",
    "be privileged in exec": "docker exec --privileged app true",
    "pass for infrastructure": f"docker tag IMAGE {_EXPORTER}; "
    f"docker create --label com.docker.compose.project=x -v /:/host:ro {_EXPORTER}",
    "write below a mount that is read-only": "docker cp /etc/hostname old-ro:/x/evil",
    "change the bridge of others": "docker network create "
    "-o com.docker.network.bridge.default_bridge=true evil-h",
    "have half of a private range": f"{_BRIDGE} 10.128.0.0/9 evil-i",
    "read the environment of others": "docker create --link old:x IMAGE",
    "outlive others": "docker create --oom-score-adj -1000 IMAGE",
    "fill dockerd's memory": "docker create --log-opt max-buffer-size=1t IMAGE",
}
# What would be left of it.
LEFT = """
ls -d /usr/local/sbin/runc.x /etc/nologin /opt/empty/* /var/lib/docker/volumes/evil* /opt/old/evil
ip route | grep 203.0.113
docker volume ls -q | grep evil
docker network ls --format '{{.Name}}' | grep evil
docker ps -aq --filter status=created | grep -v "$(docker ps -aq --filter name=^/old)"
"""


@pytest.fixture(scope="module")
def judged(dispatch: Ground) -> Iterator[dict[str, LabNode]]:
    """Nodes as proven, with an app, and a container of before that mounts the node."""
    nodes = dispatch.tried
    dispatch.deploy(*KINDS, **DEFAULT, door="off")
    old = f"""mkdir -p /opt/old /opt/empty; docker create --name old -v /opt/old:/x {IMAGE} true
    docker create --name old-ro -v /opt/old:/x:ro {IMAGE} true
    docker volume create -o type=tmpfs -o device=tmpfs memory
    docker run -d --name old-memory -v memory:/m {IMAGE} sh -c 'echo kept > /m/a; sleep 1d'"""
    at_once(lambda name: sh(nodes[name], old), KINDS)
    outcome = dispatch.deploy(*KINDS, **DEFAULT, proof="changed", proof_rows=True)
    proven = re.findall(r"\bdoor\b.* ok$", outcome.text, re.MULTILINE)
    assert len(proven) >= len(KINDS), outcome.text
    at_once(lambda name: start(nodes[name], "app"), KINDS)
    yield nodes
    at_once(lambda name: remove_containers(nodes[name], "."), KINDS)
    dispatch.known.difference_update(KINDS)


def states(node: LabNode) -> list[str]:
    """Return the states of the socket and of the service."""
    return node.exec("systemctl", "is-active", f"{UNIT}.socket", UNIT).stdout.split()


def asks(node: LabNode) -> str:
    """Return what Docker says to somebody who asks for what is not allowed."""
    return node.exec("docker", "create", "-v", "/etc:/x", IMAGE).stderr


def lives(node: LabNode) -> int:
    """Return the process of the app, which nothing here may end."""
    return int(processes(node)["app"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_would_change_the_node_is_not_begun(judged: dict[str, LabNode], kind: str) -> None:
    node = judged[kind]
    before = node.exec("sh", "-c", LEFT).stdout

    for what, command in ATTACKS.items():
        ran = node.exec("sh", "-c", command.replace("IMAGE", IMAGE))
        assert DENIED in ran.stderr, f"{what}: {ran}"

    assert node.exec("sh", "-c", LEFT).stdout == before == ""


# An image with much to copy, for dockerd to be busy while another container of it puts links there.
MUCH = """
set -e
rm -rf /root/much /root/away
mkdir -p /root/much/data /root/much/proc /root/much/dev /root/much/etc /root/away
cd /root/much
mkdir bin tmp
cp $(command -v busybox) bin/busybox
for name in sh rm ln sleep touch; do ln -s busybox bin/$name; done
seq 100 159 | xargs -I N sh -c 'head -c 4000000 /dev/zero > data/aN'
seq 10 | xargs -I N sh -c 'mkdir data/dN; echo written > data/dN/eN'
echo written > data/z
tar -c . | docker import - much:1 > /dev/null
"""
LINKS = """rm -rf /data/*; touch /ready; while [ ! -e /data/a100 ]; do :; done
for n in 1 2 3 4 5 6 7 8 9 10; do ln -s /root/away /data/d$n; done
ln -s /root/away/z /data/z; sleep infinity"""
# It may be too slow: then nothing is said.
COPIED = f"""
docker rm -f links copies > /dev/null 2>&1
docker volume rm shared > /dev/null 2>&1
docker run -d --name links -v shared:/data much:1 sh -c '{LINKS}' > /dev/null
for _ in $(seq 100); do docker cp links:/ready /dev/null 2> /dev/null && break; sleep 0.1; done
docker create --name copies -v shared:/data much:1 sh 2>&1 | tail -n 1
"""


@pytest.mark.parametrize("kind", KINDS)
def test_dockerd_follows_no_link_while_it_copies_an_image(
    judged: dict[str, LabNode], kind: str
) -> None:
    node = judged[kind]
    sh(node, MUCH)

    tries = (sh(node, COPIED) for _ in range(6))

    assert any("file exists" in said for said in tries)
    ended = "docker rm -f links; docker volume rm shared; ls /root/away"
    assert sh(node, ended) == "links\nshared\n"
    # What was mounted in a volume before is still seen, and whoever runs under runc has its links.
    assert (
        sh(
            node,
            "docker exec old-memory cat /m/a; cat $(docker volume inspect -f "
            "'{{.Mountpoint}}' memory)/a",
        )
        == "kept\nkept\n"
    )
    follows = "ln -s name /d/link; echo found > /d/name; cat /d/link"
    for run in (f"docker run --rm -v own:/d {IMAGE}", f"{WITH_PERMIT} run --rm -v own:/d {IMAGE}"):
        assert sh(node, f"{run} sh -c '{follows}'; docker volume rm own") == "found\nown\n"
    # Who asks nobody needs that links are followed.
    links = "/opt/gvisor/judge/volumes"
    outside = f"run -d --name outside --runtime runc -v own:/d {IMAGE} sleep infinity"
    assert sh(node, f"{links}; {WITH_PERMIT} {outside} > /dev/null; {links} sync; {links}") == (
        "safe\nfollowed outside\n"
    )
    sh(node, f"docker rm -f outside; docker volume rm own; rm {PERMITS}*")
    assert sh(node, f"{links}; {links} sync; {links}") == "wanted\nsafe\n"


@pytest.mark.parametrize("kind", KINDS)
def test_it_sees_every_mount_as_dockerd_does(judged: dict[str, LabNode], kind: str) -> None:
    node = judged[kind]

    pid = sh(node, MAIN_PID).strip()
    spaces = " ".join(f"/proc/{item}/ns/{name}" for item in (pid, 1) for name in ("mnt", "pid"))

    assert len({*sh(node, f"readlink {spaces}").split()}) == 2
    sockets = f"/run/pyinfra-gvisor /run/pyinfra-gvisor/judge.sock {PLUGIN}"
    assert sh(node, f"stat -c %a:%U {sockets}").split() == ["700:root", "600:root", "600:root"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_spelling_of_a_request_gets_past_it(judged: dict[str, LabNode], kind: str) -> None:
    node = judged[kind]
    node.put("/root/fuzz.py", FUZZ.encode())

    ran = node.exec(PYTHON, "/root/fuzz.py", IMAGE, "20261130", "400")

    assert ran.code == 0, ran.stderr
    *past, statuses = ran.stdout.splitlines()
    assert past == []
    assert json.loads(statuses)["403"] > 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_permit_lets_one_request_do_what_is_refused_and_its_container_start_for_a_time(
    judged: dict[str, LabNode], dispatch: Ground, kind: str
) -> None:
    node, before = judged[kind], lives(judged[kind])
    asks_for = f"--privileged -v /opt:/node {IMAGE}"

    sh(node, f"{WITH_PERMIT} run -d --name permitted {asks_for} sleep infinity")
    sh(node, f"{WITH_PERMIT} run -d --name outside --runtime runc {IMAGE} sleep infinity")
    sh(node, f"{WITH_PERMIT} network create -d macvlan -o parent=eth0 permitted")

    assert (in_sandbox(node, "permitted"), in_sandbox(node, "outside")) == (True, False)
    assert "gvisor\n" in sh(node, "docker restart -t 0 permitted; docker exec permitted ls /node")
    assert DENIED in node.exec("sh", "-c", f"docker create {asks_for}").stderr
    unused = node.exec("sh", "-c", f"{WITH_PERMIT} run --rm {IMAGE} true").stderr
    assert unused.endswith("no request used the exception\n")
    found = audit(dispatch.fleet, kind, **DEFAULT).found
    assert found["permit-given permitted"]["severity"] == "low"
    assert found["container-unsandboxed outside"]["severity"] == "critical"
    said = "root: the disk has to be looked at: docker run"
    assert found["permit-given outside"]["evidence"] == said
    sh(node, f'sed -i \'s/"until": [0-9]*/"until": 1/\' {PERMITS}*.container')
    late = node.exec("docker", "restart", "-t", "0", "permitted").stderr
    assert "a sandbox may not have: mount of /opt on /node" in late
    sh(node, "docker rm -f permitted outside; docker network rm permitted")
    left = sh(node, f"ls {PERMITS}* | sed 's/.*[.]//'; rm {PERMITS}*").split()
    assert sorted(left) == ["container", "container", "taken"]
    assert lives(node) == before


KILLER = f"""
for _ in $(seq 60); do
    pid=$({MAIN_PID})
    if [ "$pid" != 0 ]; then kill -9 "$pid"; fi
    sleep 0.1
done > /dev/null 2>&1 &
"""


def test_while_it_is_killed_again_and_again_every_call_has_an_answer(
    judged: dict[str, LabNode],
) -> None:
    def crowd(kind: str) -> list[tuple[str, float]]:
        sh(judged[kind], KILLER)
        found = []
        for _ in range(8):
            began_s = time.monotonic()
            found.append((asks(judged[kind]), time.monotonic() - began_s))
        return found

    answers = at_once(crowd, KINDS)

    for kind in KINDS:
        assert all("denied" in said or "failed" in said for said, _ in answers[kind]), answers
        assert max(took_s for _, took_s in answers[kind]) < 45  # dockerd asks again for 30 s
        wait_for(judged[kind], f"systemctl is-active {UNIT}", timeout_s=20)
        assert DENIED in asks(judged[kind])


def test_one_that_hangs_is_replaced_and_without_python_docker_refuses_and_says_why(
    judged: dict[str, LabNode],
) -> None:
    def hang(kind: str) -> tuple[str, float, str, str]:
        node = judged[kind]
        began_s = time.monotonic()
        sh(node, f"kill -STOP $(pgrep -P $({MAIN_PID}) python3)")
        said, took_s = asks(node), time.monotonic() - began_s
        wait_for(node, f"systemctl is-active {UNIT}", timeout_s=30)
        sh(node, f"mv {PYTHON} {PYTHON}.away")
        try:
            start(node, "asks")  # a wrapper cannot run the program itself now
            assert in_sandbox(node, "asks")
            sh(node, f"systemctl kill -s KILL {UNIT}")
            wait_for(node, "pgrep -f judge/stand_in.pl", timeout_s=20)
            without, read = asks(node), sh(node, "docker ps -q --filter name=app")
        finally:
            sh(node, f"mv {PYTHON}.away {PYTHON}")
        remove_containers(node, "^/asks$")
        return said, took_s, without, read

    pids = {kind: lives(judged[kind]) for kind in KINDS}
    for kind, (said, took_s, without, read) in at_once(hang, KINDS).items():
        assert "denied" in said or "failed" in said
        assert took_s < WATCHDOG_S + 45
        assert "reinstall python3" in without
        assert read
        wait_for(judged[kind], f"systemctl is-active {UNIT}", timeout_s=30)
        assert "mount of /etc" in asks(judged[kind])
        assert lives(judged[kind]) == pids[kind]


# A file system that answers nothing, as a service of the node.
DEAD_MOUNT = """
set -e
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
mkdir -p /opt/dead
systemd-run --quiet --collect --unit=dead python3 /root/dead.py /opt/dead
for _ in $(seq 50); do grep -q ' /opt/dead ' /proc/self/mountinfo && exit; sleep 0.1; done
exit 1
"""


def test_a_bind_on_a_file_system_that_does_not_answer_holds_up_no_other(
    judged: dict[str, LabNode],
) -> None:
    node, before = judged[NEWEST], lives(judged[NEWEST])
    node.put("/root/dead.py", DEAD_FILES.encode())
    sh(node, DEAD_MOUNT)
    dead = "docker create -v /opt/dead/x:/x"

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(node.exec, "sh", "-c", f"{dead} {IMAGE}") for _ in range(3)]
        others = [asks(node) for _ in range(5)]
        start(node, "meanwhile", "-v", "data:/data")
        finished = [item.done() for item in waiting]
        sh(node, f"systemctl kill -s KILL --kill-who=main {UNIT}")  # what waits cannot be killed
        late = [item.result(timeout=90).stderr for item in waiting]
    wait_for(node, f"systemctl is-active {UNIT}", timeout_s=30)
    again = asks(node)
    sh(node, "systemctl kill -s KILL dead; umount -l /opt/dead; rmdir /opt/dead")

    assert not any(finished)
    assert all(DENIED in said or "plugin pyinfra-gvisor failed" in said for said in late), late
    assert all(DENIED in said for said in (*others, again, asks(node)))
    assert in_sandbox(node, "meanwhile")
    remove_containers(node, "^/meanwhile$")
    assert lives(node) == before


GONE = {
    "stopped": f"systemctl stop {UNIT}.socket {UNIT}",
    "masked": f"ln -sf /dev/null {UNITS}.service; systemctl daemon-reload; systemctl stop {UNIT}",
    "removed": f"systemctl stop {UNIT}.socket {UNIT}; rm {UNITS}.*; systemctl daemon-reload",
    "stale": f"systemctl stop {UNIT}.socket {UNIT}; touch {PLUGIN}",
}


@pytest.mark.parametrize("fault", GONE)
def test_dockerd_starts_without_it_and_the_next_run_brings_it_back(
    judged: dict[str, LabNode], dispatch: Ground, fault: str
) -> None:
    def restarted(kind: str) -> str:
        node = judged[kind]
        sh(node, f"systemctl stop pyinfra-gvisor-keeper.timer; {GONE[fault]}")
        # systemd refuses the fourth start within a minute
        sh(node, "systemctl reset-failed docker; timeout 60 systemctl restart docker")
        return asks(node)

    pids = {kind: lives(judged[kind]) for kind in KINDS}
    answers = at_once(restarted, KINDS)
    dispatch.deploy(*KINDS, **DEFAULT)
    second = dispatch.run(*KINDS, **DEFAULT)

    assert all(DENIED in said for said in answers.values()), answers
    assert second.idle, second.text
    for kind in KINDS:
        assert states(judged[kind]) == ["active", "active"]
        assert "mount of /etc" in asks(judged[kind])
        assert lives(judged[kind]) == pids[kind]


def test_a_plugin_of_others_that_is_dead_is_noticed_before_dockerd_would_end(
    judged: dict[str, LabNode], dispatch: Ground
) -> None:
    node = judged[NEWEST]
    text = sh(node, "cat /etc/docker/daemon.json")
    dead = text.replace('"pyinfra-gvisor"', '"dead", "pyinfra-gvisor"')
    sh(
        node,
        "perl -e 'socket S, 1, 1, 0; bind S, pack q(S a*), 1, q(/run/docker/plugins/dead.sock)'",
    )
    node.put("/etc/docker/daemon.json", dead.encode())
    pid = lives(node)

    refused = dispatch.run(NEWEST, **DEFAULT, daemon_json={"max-concurrent-uploads": 3})

    assert refused.code == 1
    assert f"no authorization plugin answers at {DEAD}" in refused.text
    assert sh(node, "cat /etc/docker/daemon.json") == dead
    assert lives(node) == pid
    sh(node, f"rm {DEAD}")
    node.put("/etc/docker/daemon.json", text.encode())


def test_after_a_power_cut_it_is_there_before_docker(judged: dict[str, LabNode]) -> None:
    node = judged[NEWEST]

    node.kill()
    node.start()

    wait_for(node, f"systemctl is-active {UNIT}", timeout_s=30)
    since = "systemctl show -p ActiveEnterTimestampMonotonic --value"
    socket, dockerd = sh(node, f"{since} {UNIT}.socket docker.service").split()
    assert 0 < int(socket) < int(dockerd)
    assert sh(node, "/opt/gvisor/judge/volumes") == "safe\n"
    assert "mount of /etc" in asks(node)
    sh(node, "docker start app")
    assert in_sandbox(node, "app")


def test_others_keep_their_plugin_when_ours_goes_and_a_rollback_goes_past_it(
    judged: dict[str, LabNode], dispatch: Ground
) -> None:
    pids = {kind: lives(judged[kind]) for kind in KINDS}

    dispatch.deploy(*KINDS, **DEFAULT, door="off")
    added = ("find", "/etc/systemd/system/docker.service.d")
    gone = {kind: (daemon_json(node), node.exec(*added).stdout) for kind, node in judged.items()}
    dispatch.deploy(*KINDS, **DEFAULT)
    dispatch.deploy(*KINDS, deploy="deploys/rollback.py", **DEFAULT)

    for kind in KINDS:
        found, additions = gone[kind]
        assert "authorization-plugins" not in found
        assert "pyinfra-gvisor" not in additions
        assert "authorization-plugins" not in daemon_json(judged[kind])
        assert "nosymfollow" not in sh(judged[kind], "cat /proc/self/mountinfo")
        assert DENIED not in asks(judged[kind])
        assert lives(judged[kind]) == pids[kind]
        remove_containers(judged[kind], ".")


def test_a_removal_leaves_nothing_of_it(judged: dict[str, LabNode], dispatch: Ground) -> None:
    dispatch.deploy(*KINDS, **DEFAULT)

    dispatch.deploy(*KINDS, deploy="deploys/remove.py")

    for kind in KINDS:
        left = "find /etc/systemd /run/systemd /run/docker/plugins /opt -name '*pyinfra-gvisor*'"
        assert sh(judged[kind], left) == ""
        assert sh(judged[kind], "cat /etc/docker/daemon.json") == ORIGINAL
        assert "nosymfollow" not in sh(judged[kind], "cat /proc/self/mountinfo")
        assert DENIED not in asks(judged[kind])
        remove_containers(judged[kind], ".")
