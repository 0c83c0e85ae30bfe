"""Bad input: a clear error, exit code 1, an unchanged node."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.node.audits import sh
from tests.node.old_runsc import OLD
from tests.node.running import CURRENT, PROVEN, Fleet
from tests.node.seeing import snapshot
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")


@dataclass(frozen=True)
class Case:
    """Something wrong: on the node (made and mended by a command), or in the settings."""

    says: str
    damage: str = "true"
    mend: str = "true"
    data: Mapping[str, Any] = field(default_factory=lambda: CURRENT)


KEEP = "cp -p /etc/docker/daemon.json /root/kept"
RESTORE = "rm -rf /etc/docker/daemon.json; cp -p /root/kept /etc/docker/daemon.json; rm /root/kept"
CASES = {
    "release below the floor": Case(
        r"node on plain: release 20240729\.0 has a known escape .*CVE-2026-96812"
        r".*; use 20260831\.0 or later",
        data={key: value for key, value in OLD.items() if key != "gvisor_accept_risk"},
    ),
    "not JSON": Case(
        r"/etc/docker/daemon\.json on plain: line 1 column \d+: not JSON .*, got .*; correct",
        damage=f'{KEEP}; printf \'{{"proxies": {{"http-proxy": "http://u:hunter2@p"}},}}\''
        " > /etc/docker/daemon.json",
        mend=RESTORE,
    ),
    "unreadable": Case(
        r"node on plain: /etc/docker is not writable for user debian; set `_sudo = True`",
        damage="usermod -aG docker debian; chmod 600 /etc/docker/daemon.json",
        mend="gpasswd -d debian docker; chmod 644 /etc/docker/daemon.json",
        data={**CURRENT, "_sudo": False},
    ),
    "Docker missing": Case(
        r"node on plain: Docker is not installed; install it, or set gvisor_docker = ",
        damage="systemctl stop docker.socket docker; mv /usr/bin/docker /usr/bin/hidden",
        mend="mv /usr/bin/hidden /usr/bin/docker; systemctl start docker.socket docker",
    ),
    "daemon down": Case(
        r"node on plain: dockerd does not answer, got .*; run systemctl status docker there",
        damage="systemctl stop docker.socket docker",
        mend="systemctl start docker.socket docker",
    ),
    "releases cannot be executed where they lie": Case(
        r"node on plain: /opt/gvisor/releases is on a file system that is mounted noexec, got rw,",
        damage="mount -t tmpfs -o noexec tmpfs /opt/gvisor",
        mend="umount /opt/gvisor",
    ),
    "no space for a release": Case(
        r"node on plain: /opt/gvisor/releases needs 768 MiB of free space for another release, "
        r"got 20 MiB",
        damage="mount -t tmpfs -o size=20m tmpfs /opt/gvisor",
        mend="umount /opt/gvisor",
    ),
    "sidecars beside the link": Case(
        r"node on plain: /usr/local/bin/gvisor-bin exists, .*; remove /usr/local/bin/gvisor-bin",
        damage="mkdir /usr/local/bin/gvisor-bin",
        mend="rmdir /usr/local/bin/gvisor-bin",
    ),
    "flag of dockerd's unit": Case(
        r"/etc/docker/daemon\.json on plain: /metrics-addr is also set by the flag",
        damage=f"mkdir -p /etc/systemd/system/docker.service.d; {KEEP};"
        "printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/dockerd -H fd:// "
        "--metrics-addr=127.0.0.1:9324\\n' > /etc/systemd/system/docker.service.d/flag.conf;"
        "echo '{}' > /etc/docker/daemon.json; systemctl daemon-reload;"
        "systemctl reset-failed docker; systemctl restart docker",
        mend=f"rm /etc/systemd/system/docker.service.d/flag.conf; {RESTORE};"
        "systemctl daemon-reload; systemctl reset-failed docker; systemctl restart docker",
    ),
}


@contextmanager
def damaged(node: LabNode, case: Case) -> Iterator[None]:
    """The node with what is wrong, and afterwards without."""
    sh(node, case.damage)
    try:
        yield
    finally:
        sh(node, case.mend)


@table("case", CASES)
def test_bad_input_is_refused_with_a_reason(fleet: Fleet, case: Case) -> None:
    with damaged(fleet.nodes["plain"], case):
        before = snapshot(fleet.nodes["plain"])

        outcome = fleet.run("plain", data=case.data)

        after = snapshot(fleet.nodes["plain"])
    assert re.search(case.says, outcome.stderr), outcome.text
    assert outcome.code == 1
    assert after == before
    assert "Traceback" not in outcome.text
    assert "hunter2" not in outcome.text


def test_one_bad_host_fails_alone(fleet: Fleet) -> None:
    fleet.nodes["docker-28"].exec("rm", "/var/lib/pyinfra-gvisor/proof.json")
    case = CASES["not JSON"]
    with damaged(fleet.nodes["plain"], case):
        before = snapshot(fleet.nodes["plain"])

        outcome = fleet.run("plain", "docker-28", data=PROVEN)

        after = snapshot(fleet.nodes["plain"])
    assert outcome.code == 1
    assert re.search(case.says, outcome.stderr)
    assert after == before
    assert outcome.stderr.count("[docker-28] ") > 0
    assert (
        fleet.nodes["docker-28"].exec("test", "-e", "/var/lib/pyinfra-gvisor/proof.json").code == 0
    )


def test_afterwards_a_good_run_finds_nothing_to_do(fleet: Fleet) -> None:
    outcome = fleet.run("plain")

    again = fleet.run("plain")

    assert outcome.code == again.code == 0, outcome.text + again.text
    assert again.idle
