"""Values that ``dockerd --validate`` takes and that then keep dockerd from starting."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.refusals import refuse
from tests.unit.answers import info, node


def check(value: dict[str, Json], version: str = "26.1.5") -> None:
    """The rules on a file of somebody else."""
    refuse(node(docker=info(ServerVersion=version)), value, {})


def runtime(**entry: Json) -> dict[str, Json]:
    """A file with one runtime."""
    return {"runtimes": {"x": dict(entry)}}


def pool(**entry: Json) -> dict[str, Json]:
    """A file with one address pool."""
    return {"default-address-pools": [dict(entry)]}


def collection(**entry: Json) -> dict[str, Json]:
    """A file with settings for BuildKit's garbage collection."""
    return {"builder": {"gc": dict(entry)}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(
            {"metrics-addr": "9323"}, "^/metrics-addr must be a host and a port", id="port"
        ),
        pytest.param({"metrics-addr": "127.0.0.1"}, "^/metrics-addr must be", id="host"),
        pytest.param({"metrics-addr": ":9323"}, "^/metrics-addr must be", id="no-host"),
        pytest.param({"metrics-addr": "127.0.0.1:99999"}, "^/metrics-addr", id="great-port"),
        pytest.param({"metrics-addr": "tcp://127.0.0.1:1"}, "^/metrics-addr", id="with-scheme"),
        pytest.param({"metrics-addr": "127.0.0.1:http"}, "^/metrics-addr", id="ports-name"),
        pytest.param({"metrics-addr": "127.0.0.1: 9323"}, "^/metrics-addr", id="space"),
        pytest.param(
            {"exec-opts": ["native.cgroupdriver=Systemd"]},
            "^/exec-opts/0 names an unknown cgroup driver, got Systemd; use cgroupfs or systemd$",
            id="cgroup-driver",
        ),
        pytest.param(pool(base="10.0.0.0", size=24), "^/default-address-pools/0/base", id="base"),
        pytest.param(pool(), "^/default-address-pools/0/base must be a subnet", id="empty-pool"),
        pytest.param(
            pool(base="10.0.0.0/8", size=4),
            "^/default-address-pools/0/size must be from 8 to 32, got 4",
            id="size",
        ),
        pytest.param(pool(base="10.0.0.0/8"), "^/default-address-pools/0/size", id="no-size"),
        pytest.param({"default-address-pools": [None]}, "^/default-address-pools/0", id="null"),
        pytest.param({"icc": False, "iptables": False}, "^/icc and /iptables cannot", id="icc"),
        pytest.param(
            {"registry-mirrors": ["https://a", "b.example"]},
            "^/registry-mirrors/1 must begin with https:// or http://, got b.example$",
            id="mirror-without-scheme",
        ),
        pytest.param({"registry-mirrors": ["https://u:p@x"]}, "cannot have a user", id="user"),
        pytest.param({"registry-mirrors": ["https://x?y=1"]}, "cannot have a user", id="query"),
        pytest.param(runtime(), "^/runtimes/x has neither path nor runtimeType", id="neither"),
        pytest.param({"runtimes": {"x": None}}, "^/runtimes/x has neither", id="null-runtime"),
        pytest.param(runtime(path="/x", runtimeType="y"), "^/runtimes/x has both", id="both"),
        pytest.param(
            runtime(runtimeType="y", runtimeArgs=["--z"]), "^/runtimes/x has runtimeArgs", id="args"
        ),
        pytest.param(
            runtime(path="/x", options={"a": 1}), "^/runtimes/x has options", id="options"
        ),
        pytest.param(
            collection(enabled=True, defaultKeepStorage="10 gigs"),
            "^/builder/gc/defaultKeepStorage must be a size, got 10 gigs; ",
            id="builder-size",
        ),
        pytest.param(
            collection(policy=[{"all": True}, {"keepStorage": "20%"}]),
            "^/builder/gc/policy/1/keepStorage must be a size, got 20%; ",
            id="percentage",
        ),
    ],
)
def test_what_keeps_dockerd_from_starting_is_refused(value: dict[str, Json], message: str) -> None:
    with pytest.raises(Problem, match=message):
        check(value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"metrics-addr": "127.0.0.1:9323"}, id="address"),
        pytest.param({"metrics-addr": "localhost:9323"}, id="name"),
        pytest.param({"metrics-addr": "[::1]:9323"}, id="ipv6"),
        pytest.param({"metrics-addr": ""}, id="no-metrics"),
        pytest.param({"exec-opts": ["native.cgroupdriver=cgroupfs"]}, id="cgroup-driver"),
        pytest.param(pool(base="10.0.0.0/8", size=8), id="one-pool"),
        pytest.param(pool(base="10.1.2.3/8", size=32), id="host-bits"),
        pytest.param(pool(base="fd00::/48", size=64), id="pool-of-ipv6"),
        pytest.param({"icc": False}, id="icc"),
        pytest.param({"registry-mirrors": ["HTTPS://x", "http://y/z"]}, id="mirrors"),
        pytest.param(runtime(runtimeType="io.x.v1", options={"a": 1}), id="shim"),
        pytest.param(runtime(path="/x", runtimeArgs=["--y"]), id="program"),
        pytest.param(runtime(path="", runtimeType="x", runtimeArgs=[]), id="empty-is-absent"),
        pytest.param(collection(enabled=True, defaultKeepStorage="10 GB"), id="builder"),
        pytest.param(collection(enabled=False, defaultKeepStorage="x"), id="no-collection"),
    ],
)
def test_what_dockerd_starts_with_is_not_refused(value: dict[str, Json]) -> None:
    check(value)


def test_a_dockerd_that_takes_any_runtime_is_not_asked_for_more() -> None:
    check(runtime(path="/x", runtimeType="y"), version="20.10.24")
