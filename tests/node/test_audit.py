"""Every finding is provoked for real and found, and a node as declared has none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyinfra_gvisor.audit.observed import audit_script
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import newer_than, open_to
from tests.node.audits import LABELS, WAIVERS, audit, of_before, settings, sh
from tests.node.containers import remove_container, start_container
from tests.node.running import HOME, PROVEN, RELEASE, SENTRY, Fleet
from tests.node.sandboxes import sandbox
from tests.node.seeing import snapshot
from tests.node.story import LIVED_IN, channels
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

FILE = "/etc/docker/daemon.json"


@pytest.mark.parametrize("name", LIVED_IN)
def test_a_node_as_declared_has_nothing_against_it_and_is_left_as_it_is(
    fleet: Fleet, name: str
) -> None:
    node = fleet.nodes[name]
    fleet.run(name, data=PROVEN)
    before, opened = snapshot(node), channels(node)

    seen = audit(fleet, name)

    assert channels(node) - opened == 1
    assert snapshot(node) == before
    assert seen.outcome.code == 0, seen.outcome.text
    assert set(seen.found) == of_before(node, RELEASE)
    assert seen.report["compliant"] is True
    assert seen.report["node"]["proof"]["holds"] is True
    assert {"docker-userns", "docker-authorization"} <= {key.split()[0] for key in seen.waived}


@pytest.mark.parametrize("name", LIVED_IN)
def test_how_old_everything_is_is_told(fleet: Fleet, name: str) -> None:
    asked = "docker version -f '{{range .Server.Components}}{{.Name}} {{.Version}}\n{{end}}'"
    told = dict(line.split() for line in sh(fleet.nodes[name], asked).splitlines() if line)
    old = "20260406.0"
    waivers = {key: why for key, why in WAIVERS.items() if key != "engine-vulnerable"}
    sums = {"runsc": "0" * 128, "containerd-shim-runsc-v1": "1" * 128}

    seen = audit(
        fleet,
        name,
        waivers=waivers,
        release=old,
        source="official",
        sha512={"x86_64": sums, "aarch64": sums},
        accept_risk="it is only looked at",
    )

    found = {key: item for key, item in seen.found.items() if key.startswith("engine-vulnerable ")}
    assert set(found) == {
        f"engine-vulnerable {shown} {told[component]}"
        for component, program, shown in (
            ("Engine", "docker", "Docker"),
            *((name, name, name) for name in ("containerd", "runc")),
        )
        if open_to(program, told[component])
    }
    assert name == "docker-29" or f"engine-vulnerable Docker {told['Engine']}" in found
    assert all("(fixed in " in item["evidence"] and item["remedy"] for item in found.values())
    assert seen.found[f"release-old runsc {old}"]["severity"] == "medium"
    assert seen.found[f"release-old runsc {old}"]["evidence"].startswith(
        f"{newer_than(parse_release(old))} newer releases were known on "
    )


@contextmanager
def running(node: LabNode, *options: str) -> Iterator[None]:
    """A container called shop."""
    start_container(node, "shop", *options)
    try:
        yield
    finally:
        remove_container(node, "shop")


def test_an_app_that_only_asks_or_does_not_even_ask_is_told_from_one_that_is_in_a_sandbox(
    fleet: Fleet,
) -> None:
    name = "docker-29"
    node = fleet.nodes[name]

    with running(node, *LABELS):
        bare = audit(fleet, name)
        exempted = audit(
            fleet, name, exempt=[{"name": "shop", "reason": "it builds images for a day"}]
        )
    with running(node, *LABELS, "--runtime=runsc"):
        good = audit(fleet, name)

    assert bare.outcome.code == 1
    assert bare.found["container-unsandboxed shop"]["severity"] == "critical"
    assert "runs directly on the host kernel: runc is not gVisor" in bare.outcome.stderr
    assert "audit.findings" not in bare.outcome.stdout
    assert exempted.outcome.code == 0, exempted.outcome.text
    assert exempted.waived["container-exempt shop"] == "it builds images for a day"
    assert good.outcome.code == 0, good.outcome.text
    assert good.container("shop")["sandboxed"] is True
    assert good.container("shop")["release"] == RELEASE


@pytest.mark.slow
def test_nothing_is_found_in_the_containers_of_a_proof(fleet: Fleet, tmp_path: Path) -> None:
    name = "docker-29"
    must = [{"name": "pyinfra-gvisor-probe*"}]
    beside = tmp_path / "beside"  # of the audit's inventory
    beside.mkdir()

    deploy = Fleet(fleet.nodes, beside).start(name, settings(must_sandbox=must, proof="always"))
    seen = []
    while deploy.poll() is None:
        seen.append(audit(fleet, name, must_sandbox=must))

    assert deploy.returncode == 0, deploy.communicate()[1]
    assert [key for one in seen for key in one.found if "probe" in key] == []


@dataclass(frozen=True)
class Case:
    """Something that is wrong, and how it is put right."""

    provoke: str
    undo: str
    expect: str
    evidence: str


EACH = [
    Case(
        f"docker run -d --name shop {' '.join(LABELS)} --privileged --pid=host --network=host"
        " --cap-add SYS_ADMIN -v /usr:/usr:ro test:1 sleep infinity",
        "docker rm -f shop",
        "container-privileged shop",
        "--privileged",
    ),
    Case(
        f'cp -a {FILE} /root/kept && sed -i \'s/"userland-proxy": false/"userland-proxy": true/\''
        f" {FILE}",
        f"cat /root/kept > {FILE} && rm /root/kept && systemctl reload docker && sleep 1",
        f"daemon-json-not-declared {FILE}",
        "changed by somebody else: /userland-proxy",
    ),
    Case(
        f"cp -a {HOME}/runsc /root/runsc && cp /usr/bin/true {HOME}/.new && mv {HOME}/.new"
        f" {HOME}/runsc",
        f"cp -a /root/runsc {HOME}/runsc && rm /root/runsc",
        f"release-damaged {HOME}",
        "a file's size, mode, owner or time changed",
    ),
    Case(f"chmod 666 {FILE}", f"chmod 644 {FILE}", f"daemon-json-mode {FILE}", "mode 666"),
    Case(
        "chmod 777 /opt/gvisor/runtimes",
        "chmod 755 /opt/gvisor/runtimes",
        "gvisor-writable /opt/gvisor/runtimes",
        "mode 777, owned by root:root",
    ),
    Case(
        "set -e; mkdir -p /root/gpu/DEBIAN; cd /root/gpu/DEBIAN;"
        " printf '%s\n' 'Package: gpu-toolkit' 'Version: 1' 'Architecture: all'"
        " 'Maintainer: nobody <nobody@example.com>' 'Description: a test' > control;"
        f" printf '%s\n' '#!/bin/sh' 'touch -c {FILE}' > postinst; chmod 755 postinst;"
        " dpkg-deb -b /root/gpu /root/gpu.deb; dpkg -i /root/gpu.deb",
        "dpkg -P gpu-toolkit; rm -r /root/gpu /root/gpu.deb",
        "package-writes-daemon-json package gpu-toolkit",
        "its scripts or its conffiles name daemon.json",
    ),
]
REFUSED_RELOAD = Case(
    f'cp -a {FILE} /root/kept && sed -i \'0,/{{/s//{{ "debug": true, "no-such-key": 1,/\''
    f" {FILE} && systemctl reload docker && sleep 1",
    f"cat /root/kept > {FILE} && rm /root/kept && systemctl reload docker && sleep 1",
    f"daemon-json-unread {FILE}",
    "not loaded by dockerd: debug",
)


@table("cases", {"one-of-each": EACH, "refused-reload": [REFUSED_RELOAD]})
def test_what_is_wrong_is_found(fleet: Fleet, cases: list[Case]) -> None:
    node = fleet.nodes["plain"]
    start_container(node, "image", "--runtime=runsc")
    for case in cases:
        sh(node, case.provoke)

    seen = audit(fleet, "plain")
    for case in reversed(cases):
        sh(node, case.undo)
    remove_container(node, "image")

    assert seen.report["compliant"] is (seen.outcome.code == 0)
    for case in cases:
        assert case.evidence in seen.found[case.expect]["evidence"], seen.found
        assert seen.found[case.expect]["remedy"]
    assert fleet.run("plain").code == 0
    assert audit(fleet, "plain").found == {}


OPENED = """
set -eu
docker network create --subnet 203.0.113.0/24 public
docker network create --subnet 169.254.169.0/24 metadata
docker network create -d macvlan -o parent=eth0 --subnet 10.99.0.0/24 lan
ln -sfn /opt/gvisor/runtimes /srv/data
mkdir -p /srv/files
for device in srv/data /etc/cron.d /srv/files; do
    docker volume create -o type=none -o o=bind -o "device=$device" "${device##*/}"
done
docker volume create -o type=devtmpfs -o device=none devices
docker volume create -o type=tmpfs -o device=tmpfs harmless
"""
CLOSED = """
docker network rm public metadata lan
docker volume rm data cron.d files devices harmless
rm -r /srv/data /srv/files
"""


def test_networks_and_volumes_that_open_the_node_are_found(fleet: Fleet) -> None:
    name = "docker-29"
    node = fleet.nodes[name]
    sh(node, OPENED)
    route = sh(node, "ip -o route get 203.0.113.9")

    seen = audit(fleet, name)

    sh(node, CLOSED)
    assert " dev br-" in route
    assert {key: item["severity"] for key, item in seen.found.items()} == {
        "network-takes-addresses network public": "high",
        "network-takes-addresses network metadata": "high",
        "network-past-firewall network lan": "medium",
        "volume-opens-node volume data": "critical",
        "volume-opens-node volume cron.d": "high",
        "volume-opens-node volume devices": "high",
        "volume-opens-node volume files": "medium",
    }
    assert "is /opt/gvisor/runtimes" in seen.found["volume-opens-node volume data"]["evidence"]
    assert audit(fleet, name).found == {}


def test_a_sandbox_that_no_container_belongs_to_is_told(fleet: Fleet) -> None:
    node = fleet.nodes["docker-28"]

    with sandbox(node, f"{HOME}/runsc", "stray") as stray:
        told = sh(node, audit_script(())).splitlines()
        alive = stray.says("uname", "-v")

    (leak,) = [line for line in told if line.startswith("sandbox ")]
    assert SENTRY in leak
    assert "gVisor" in alive or "2016" in alive
