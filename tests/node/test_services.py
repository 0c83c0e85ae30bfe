"""dockerd reloaded and restarted by whoever runs it: systemd, an init script, or nobody."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.daemon_json.service import service_script
from pyinfra_gvisor.node import parse_node, state_script
from tests.node.audits import sh
from tests.node.containers import remove_container, start_container
from tests.node.seeing import docker_info, processes
from tests.node.watching import within
from tools.lab import LabNode, Ran

TIMEOUT_S = 8
HUNG_S = 4
SLACK_S = 12  # what a slow machine takes besides
FILE = "/etc/docker/daemon.json"
STATE = "for what in cmdline environ; do cksum < /proc/$(cat /run/docker.pid)/$what; done"

BY_HAND = r"""
systemctl stop docker.socket docker.service
mkdir "/root/by hand" && cd "/root/by hand"
export ODD="a 'b' \$c"
setsid dockerd --label "by=somebody's \"hand\"" > /root/dockerd.log 2>&1 < /dev/null &
"""
UNDER_SYSTEMD = r"""
pid=$(cat /run/docker.pid) && kill "$pid"
while [ -e "/proc/$pid/exe" ]; do sleep 0.1; done
rm -r "/root/by hand" /root/dockerd.log
systemctl reset-failed docker.service
systemctl start docker.socket docker.service
"""
RESTART = {
    "systemd": "systemctl reset-failed docker; systemctl restart docker",
    "sysvinit": "service docker restart",
    "process": UNDER_SYSTEMD,
}


@dataclass(frozen=True)
class Service:
    """A node's dockerd and the script part that is for it, chosen by what the fact says."""

    kind: str
    node: LabNode

    def script(self) -> str:
        """The part, ready for commands behind it; it holds a lock, as a transaction does."""
        fact = self.node.exec("sh", "-c", state_script()).stdout
        found = parse_node(fact.rstrip("\n").split("\n"))
        assert found.supervisor.kind == self.kind
        names = (service_script(found), "daemon_json/dockerd")
        given = {"runtimes": "", "live_restore": "", "default_runtime": ""}
        part = script(*names, unit=found.supervisor.unit, timeout_s=TIMEOUT_S, **given)
        lock = "trap '' HUP INT TERM; exec 9> /run/services.lock; flock 9\n"
        return f"{part}\nwork=$(mktemp -d) began=$(date +%s)\n{lock}"

    def run(self, commands: str) -> Ran:
        """Run ``commands`` behind the part, all in one shell."""
        return self.node.exec("sh", "-c", f"{self.script()}{commands}\nrm -rf $work")

    def configure(self, text: str) -> None:
        self.node.put(FILE, text.encode())


@pytest.fixture(scope="module", params=["systemd", "sysvinit", "process"])
def service(request: pytest.FixtureRequest, nodes: dict[str, LabNode]) -> Iterator[Service]:
    """A dockerd with live-restore; afterwards the node is what it was."""
    kind: str = request.param
    node = nodes["sysvinit" if kind == "sysvinit" else "plain"]
    had_image = node.exec("docker", "image", "inspect", "test:1").code == 0
    node.exec("cp", "-a", "/etc/docker", "/root/docker.before")
    node.put(FILE, b'{"live-restore": true}')
    node.exec("sh", "-c", "kill -HUP $(cat /run/docker.pid)")
    assert within(10, lambda: docker_info(node)["LiveRestoreEnabled"] is True)
    if kind == "process":
        node.exec("sh", "-c", BY_HAND)
        node.wait_until_ready()
    yield Service(kind, node)
    remove_container(node, "survivor")
    if not had_image:
        node.exec("docker", "rmi", "test:1")
    node.exec(
        "sh", "-c", "rm -r /etc/docker /run/services.lock; mv /root/docker.before /etc/docker"
    )
    node.exec("sh", "-c", RESTART[kind])
    node.wait_until_ready()


def test_a_reload_is_taken_over_by_the_same_process(service: Service) -> None:
    pid = dockerd_pid(service)
    service.configure('{"live-restore": true, "debug": true}')

    ran = service.run("service_reload; service_log; service_name")

    assert ran.code == 0, ran.stderr
    assert within(10, lambda: docker_info(service.node)["Debug"] is True)
    assert dockerd_pid(service) == pid
    assert ran.stdout.count("\n") == 1


def test_a_restart_is_another_process_with_the_same_words_and_loses_no_container(
    service: Service,
) -> None:
    start_container(service.node, "survivor")
    before = dockerd_pid(service), processes(service.node), words(service)

    ran = service.run("service_restart")

    assert ran.code == 0, ran.stderr
    assert dockerd_pid(service) != before[0]
    assert (processes(service.node), words(service)) == before[1:]
    assert service.node.exec("flock", "--nonblock", "/run/services.lock", "true").code == 0


def test_a_start_that_fails_is_told_and_the_next_one_works(service: Service) -> None:
    before = processes(service.node), words(service)
    mend = f"echo '{json.dumps({'live-restore': True})}' > {FILE}"
    prepared = service.script()
    service.configure('{"live-restore": true,')
    began_s = time.monotonic()

    ran = sh(service.node, f"{prepared}{AGAIN.format(mend=mend)}")

    assert time.monotonic() - began_s < TIMEOUT_S + SLACK_S
    assert ran.startswith("failed\n")
    assert "unable to configure the Docker daemon with file" in ran
    assert ran.endswith("started\n")
    assert (processes(service.node), words(service)) == before


def test_a_start_that_hangs_is_ended_and_the_next_one_works(service: Service) -> None:
    before = processes(service.node), words(service)
    prepared = service.script()
    hung = f"timeout_s={HUNG_S}{AGAIN.format(mend=f'{MOVED_BACK}; timeout_s={TIMEOUT_S}')}"
    began_s = time.monotonic()

    ran = sh(service.node, f"{HANGS}{prepared}{hung}")

    assert HUNG_S - 1 <= time.monotonic() - began_s < TIMEOUT_S + SLACK_S
    assert ran.startswith("failed\n")
    assert ran.endswith("started\n")
    assert (processes(service.node), words(service)) == before


AGAIN = """
service_restart && echo started || echo failed
service_log
{mend}
service_restart && echo started || echo failed
rm -rf $work
"""
HANGS = r"""
mkfifo /run/never
mv /usr/sbin/dockerd /usr/sbin/dockerd.moved
printf '#!/bin/sh\nread -r _ < /run/never\n' > /usr/sbin/dockerd
chmod +x /usr/sbin/dockerd
"""
MOVED_BACK = "mv /usr/sbin/dockerd.moved /usr/sbin/dockerd; rm /run/never"


def dockerd_pid(service: Service) -> str:
    return service.node.exec("cat", "/run/docker.pid").stdout.strip()


def words(service: Service) -> str:
    """What dockerd was started with; not its environment if systemd gives each start another."""
    lines = service.node.exec("sh", "-c", STATE).stdout.splitlines()
    return lines[0] if service.kind == "systemd" else "\n".join(lines)
