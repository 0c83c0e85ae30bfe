"""The record of a node: what it says, and that it says nothing private."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.compatibility.seen import seen_by, source_kind
from pyinfra_gvisor.compatibility.table import table
from pyinfra_gvisor.releases.sources import APT_URL, GITHUB_URL, OFFICIAL_URL
from tests.unit.answers import Running
from tests.unit.compatible import record, recorded
from tests.unit.firewalled import firewall
from tests.unit.kernel_answers import in_force, told

LAB_PATH = "/var/cache/lab-build-gvisor.dev-gvisor@v0.0.0-20260905035102-160fafc42237"
LAB_BUILD = "gvisor.dev/gvisor@v0.0.0-20260905035102-160fafc42237"
ARCHIVE = "releases/release/20260905.0/x86_64/gvisor.tar.bz2"
NAMED = {"gvisor_runtimes": {"net": {"network": "sandbox", "dns": "docker"}}}
SNAPSHOTTER = [["driver-type", "io.containerd.snapshotter.v1"]]
COMMITS = {"ContainerdCommit": {"ID": "1.7.24~ds1-6"}, "RuncCommit": {"ID": "v1.2.4-0-g6c52b3f"}}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param({}, {"distribution": "Debian 13", "init": "systemd"}, id="debian"),
        pytest.param({"os": "ubuntu 24.04 noble"}, {"distribution": "Ubuntu 24.04"}, id="ubuntu"),
        pytest.param(
            {"os": "debian unknown forky"}, {"distribution": "Debian forky"}, id="no-version"
        ),
        pytest.param({}, {"kernel": "6.12.9+deb13-amd64", "arch": "x86_64"}, id="kernel"),
        pytest.param({}, {"cgroup_version": 2, "cgroup_driver": "systemd"}, id="cgroup-2"),
        pytest.param(
            {"cgroup": "1", "docker": {"CgroupDriver": "cgroupfs"}},
            {"cgroup_version": 1, "cgroup_driver": "cgroupfs"},
            id="cgroup-1",
        ),
        pytest.param({"supervisor": "sysvinit"}, {"init": "sysvinit"}, id="sysvinit"),
        pytest.param({"supervisor": "process"}, {"init": "by hand"}, id="by-hand"),
        pytest.param({}, {"docker": "29.8.2", "image_store": "overlay2"}, id="docker"),
        pytest.param(
            {"docker": {"Driver": "overlayfs", "DriverStatus": SNAPSHOTTER}},
            {"image_store": "containerd: overlayfs"},
            id="store-of-containerd",
        ),
        pytest.param({"docker": {"DriverStatus": None}}, {"image_store": "overlay2"}, id="null"),
        pytest.param(
            {}, {"containerd": None, "runc": None, "firewall_backend": None}, id="not-told"
        ),
        pytest.param(
            {"docker": {"FirewallBackend": {"Driver": "nftables"}}},
            {"firewall_backend": "nftables"},
            id="firewall-backend",
        ),
        pytest.param(
            {"docker": COMMITS},
            {"containerd": "1.7.24~ds1-6", "runc": "v1.2.4-0-g6c52b3f"},
            id="containerd-and-runc",
        ),
        pytest.param(
            {"docker": COMMITS, "runc_version": "1.3.3"}, {"runc": "1.3.3"}, id="runc-says-itself"
        ),
        pytest.param({}, {"date": date(2026, 11, 27)}, id="utc-day-of-the-proof"),
        pytest.param(
            {}, {"runsc": "20260928.0", "runsc_source": "debian", "runsc_lab_build": None}, id="apt"
        ),
        pytest.param(
            {"source": f"{LAB_PATH}-0123456789ab/{ARCHIVE}"},
            {"runsc_source": None, "runsc_lab_build": LAB_BUILD},
            id="lab-build",
        ),
    ],
)
def test_a_record_says_what_the_node_is(node: dict[str, Any], expected: dict[str, Any]) -> None:
    found = recorded(**node)

    assert {key: getattr(found, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        pytest.param("docker", "lab container", id="docker"),
        pytest.param("podman", "lab container", id="podman"),
        pytest.param("lxc", "container", id="lxc"),
        pytest.param("systemd-nspawn", "container", id="nspawn"),
        pytest.param("kvm", "virtual machine", id="kvm"),
        pytest.param("qemu", "virtual machine", id="qemu"),
        pytest.param("amazon", "virtual machine", id="amazon"),
        pytest.param("none", "server", id="none"),
    ],
)
def test_what_saw_it_is_what_the_node_runs_on(word: str, kind: str) -> None:
    assert seen_by(word) == kind
    assert recorded(virtualization=word).seen_by == kind


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        pytest.param(
            OFFICIAL_URL.format(release="20260928.0", arch="x86_64", file="gvisor.tar.bz2"),
            "official",
            id="official",
        ),
        pytest.param(GITHUB_URL.format(release="20260928.0", arch="x86_64"), "github", id="github"),
        pytest.param(f"apt {APT_URL}", "apt", id="apt"),
        pytest.param("apt https://mirror.acme.example/gvisor", "apt mirror", id="apt-mirror"),
        pytest.param("Debian's package runsc", "debian", id="debian"),
        pytest.param("https://files.acme.example/gvisor.tar.bz2", "URL", id="https"),
        pytest.param("http://10.0.0.9/gvisor.tar.bz2", "URL", id="http"),
        pytest.param("/home/acme/gvisor.tar.bz2", "file", id="file"),
        pytest.param("/home/acme/lab-build-of-mine@v1/gvisor.tar.bz2", "file", id="no-lab-build"),
        pytest.param("", "unknown", id="nobody-knows"),
    ],
)
def test_of_a_source_only_the_kind_is_told(source: str, kind: str) -> None:
    assert source_kind(source) == kind
    assert recorded(source=source).runsc_source == kind


def test_runtimes_are_told_by_what_they_are_with_the_outcome_of_their_proof() -> None:
    runtimes = {
        "zeta": {"network": "host"},
        "alpha": {**NAMED["gvisor_runtimes"]["net"], "flags": ["--directfs=false"]},
    }
    outcomes = {"zeta": {"ok": 23, "accepted": 1, "n/a": 5}, "alpha": {"ok": 27, "n/a": 2}}

    found = recorded({"gvisor_runtimes": runtimes}, proof={"outcomes": outcomes})

    (host, sandbox) = found.runtimes
    assert (host.network, host.ok, host.accepted, host.not_applicable) == ("host", 23, 1, 5)
    assert (sandbox.network, sandbox.dns, sandbox.ok) == ("sandbox", "docker", 27)
    assert sandbox.flags == ("directfs",)
    assert found.names


def test_a_default_runtime_is_told_by_what_its_containers_ask_for() -> None:
    settings = {"gvisor_default": "sandbox-all", "gvisor_exempt": []}
    names = ("runsc", "gvisordefault", "runcbyname")
    proof = {"outcomes": {name: {"ok": 23 + n} for n, name in enumerate(names)}}

    found = recorded(settings, proof=proof)

    assert {item.asked: item.ok for item in found.runtimes} == {
        "name": 23,
        "nothing": 24,
        "runc": 25,
    }
    assert "by default, network host" in table([found])


def test_the_timings_are_those_of_the_proof_and_of_the_run() -> None:
    assert recorded().timings.model_dump() == {
        "proof_s": 2.3,
        "run_s": 51.2,
        "hosts": 1,
        "changes": 6,
    }


@pytest.mark.parametrize(
    ("settings", "lines", "on"),
    [
        pytest.param({}, [], (False, False), id="neither"),
        pytest.param({"gvisor_egress": {}}, firewall(), (True, False), id="firewall"),
        pytest.param({"gvisor_egress": {}}, [], (False, False), id="firewall-not-loaded"),
        pytest.param({}, firewall(), (False, False), id="firewall-not-declared"),
        pytest.param({"gvisor_kernel": {}}, in_force(), (False, True), id="kernel"),
        pytest.param({"gvisor_kernel": {}}, told(), (False, False), id="kernel-not-in-effect"),
        pytest.param({}, in_force(), (False, False), id="kernel-not-declared"),
    ],
)
def test_what_stands_around_the_sandbox_counts_where_it_is_declared_and_active(
    settings: dict[str, Any], lines: list[str], on: tuple[bool, bool]
) -> None:
    found = recorded(settings, lines=lines)

    assert (found.firewall, found.kernel_surface) == on


def test_a_record_of_a_node_with_telling_names_has_none_of_them() -> None:
    settings = {
        "gvisor_runtimes": {
            "acmepayroll": {
                "network": "host",
                "panic_log": "/var/log/acme/panic.log",
                "flags": ["--debug-log=/var/log/acme-debug/"],
            }
        },
        "gvisor_egress": {"allow": [{"to": "10.66.77.88", "ports": ["5432"]}]},
        "gvisor_must_sandbox": [{"labels": {"acme.team": "payroll"}}],
    }
    app = Running(
        "acme-shop",
        runtime="acmepayroll",
        mounts=("/srv/acme",),
        given={"Image": "registry.acme.example/shop", "Labels": {"acme.team": "payroll"}},
    )
    docker = {
        "Name": "acme-host",
        "Labels": ["rack=acme"],
        "DockerRootDir": "/srv/acme/docker",
        "HttpProxy": "http://acme:hunter2@10.66.77.99",
        "DriverStatus": [["Backing Filesystem", "acmefs"]],
    }

    found = recorded(
        settings,
        name="acme-host.example",
        lines=firewall(settings["gvisor_egress"]),
        docker=docker,
        containers=[app],
        source="https://files.acme.example/20260928.0/gvisor.tar.bz2",
        proof={"image": "registry.acme.example/probe", "risks": ["acme said so"]},
    )

    text = found.model_dump_json().lower()
    for telling in ("acme", "payroll", "10.66", "hunter2", "/", "5432"):
        assert telling not in text


@pytest.mark.parametrize(
    ("node", "said"),
    [
        pytest.param(
            {"proof": {"fingerprint": "x"}}, "the node has no valid proof", id="another-state"
        ),
        pytest.param({"proof": {"failed": ["exec"]}}, "the node has no valid proof", id="failed"),
        pytest.param(
            {"proof": {"at": None}}, "the date of the node's proof is unknown", id="no-time"
        ),
        pytest.param(
            {"proof": {"outcomes": None}}, "has no results for each runtime", id="older-proof"
        ),
        pytest.param({"proof": {"outcomes": {"x": {}}}}, "no results", id="another-runtime"),
        pytest.param({"proof": {"outcomes": {"runsc": 7}}}, "is damaged", id="damaged"),
        pytest.param({"proof": {"outcomes": {"runsc": {"ok": "x"}}}}, "ok does not fit", id="text"),
        pytest.param({"virtualization": ""}, "it is unknown whether", id="nothing-told"),
        pytest.param({"docker": {"Driver": "/srv/acme"}}, "image_store does not fit", id="a-path"),
    ],
)
def test_where_something_is_not_known_there_is_no_record(node: dict[str, Any], said: str) -> None:
    with pytest.raises(Problem, match=said):
        recorded(**node)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("docker", "/usr/bin/dockerd", id="path"),
        pytest.param("distribution", "x" * 81, id="long"),
        pytest.param("host", "acme-host", id="another-key"),
        pytest.param("runsc_lab_build", "/srv/acme@v1", id="path-as-lab-build"),
        pytest.param("seen_by", "a friend", id="seen-by-nobody"),
        pytest.param("runtimes", [], id="no-runtime"),
    ],
)
def test_a_record_has_no_room_for_anything_else(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        record(**{key: value})
