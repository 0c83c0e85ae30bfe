"""Rules: each has an app that it is about, and none is about an app without anything."""

from collections.abc import Sequence
from typing import Any

from pyinfra_gvisor.apps.rules import DIFFERENCES, Ground
from pyinfra_gvisor.apps.seen import App, Apps
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.table import table
from tests.unit.apps.looked import around, looked, volume

MIB = 1 << 20
SOCK = "/run/php/fpm.sock"
PHP: dict[str, Any] = {"mounts": [volume("/v/php", "/run/php")]}
FPM = looked("fpm", **PHP, seen={"listens": [SOCK]})
KMSG = {"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}
# By rule: the app that it is about, and others on its node.
ABOUT: dict[str, tuple[dict[str, Any], ...]] = {
    "shared-socket": (looked("web", **PHP), FPM),
    "node-socket": (looked(mounts=[volume("/run/docker.sock", "/x", socket=True)]),),
    "device": (looked(Devices=[KMSG]),),
    "raw-socket": (looked(seen={"raw": ["icmp"]}),),
    "kernel-object": (looked(seen={"opened": ["perf_event"]}),),
    "program-32-bit": (looked(seen={"elf32": ["game"]}),),
    "setuid": (looked(seen={"setuid": ["sudo"]}),),
    "program": (looked(seen={"programs": ["smbd"]}),),
    "container-engine": (looked(seen={"engine": ["dockerd"]}),),
    "host-network": (looked(NetworkMode="host"),),
    "host-ipc": (looked(IpcMode="host"),),
    "mounts-inside": (looked(seen={"mounted": ["nfs4 /mnt"]}),),
    "pids-limit": (looked(PidsLimit=40),),
    "memory-limit": (looked(Memory=12 * MIB),),
    "tmp-too-large": (looked(Memory=64 * MIB, seen={"tmp_bytes": 50 * MIB}),),
    "clock": (looked(CapAdd=["CAP_SYS_TIME"]),),
    "modules": (looked(CapAdd=["SYS_MODULE"]),),
    "tmp": (looked(seen={"tmp_bytes": 4096}),),
    "watched-files": (looked(seen={"watched": ["/app"]}),),
    "netlink": (looked(seen={"netlink": ["12"]}),),
    "linked-socket": (looked(seen={"listens": ["/run/s.1"], "moved": ["/run/s.1"]}),),
    "io-uring": (looked(seen={"opened": ["io_uring"]}),),
    "proc-file": (looked(seen={"opened": ["/proc/vmstat"]}),),
    "sysctl": (looked(Sysctls={"net.core.somaxconn": "1"}),),
    "network-changes": (looked(CapAdd=["NET_ADMIN"]),),
    "other-processes": (looked(PidMode="host"),),
    "hostname": (looked(UTSMode="host"),),
    "privileged": (looked(Privileged=True),),
    "seccomp": (looked(SecurityOpt=['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']),),
}
BOXED = Runtime(network="sandbox")
STRICT = Runtime(network="sandbox", hardening="strict")
RUNTIMES = {"host-network": BOXED}
"""Of rules that are about no app of a runtime without options."""


def told(app: App, apps: Apps, runtime: Runtime | None = None) -> list[str]:
    """The rules that are about an app."""
    ground = Ground(runtime or Runtime(), apps)
    return [rule.id for rule in DIFFERENCES if any(rule.look(app, ground))]


def test_each_rule_is_about_one_app() -> None:
    found = {rule: told(*around(*apps), RUNTIMES.get(rule)) for rule, apps in ABOUT.items()}

    assert found == {rule.id: [rule.id] for rule in DIFFERENCES}


@table(
    "apps",
    plain=[looked()],
    default_seccomp=[looked(SecurityOpt=["no-new-privileges", "seccomp=unconfined"])],
    no_limit=[looked(PidsLimit=0, Memory=0)],
    enough=[looked(PidsLimit=100, Memory=64 * MIB)],
    devices_of_the_sandbox=[looked(Devices=[{**KMSG, "PathOnHost": "/dev/full"}])],
    own_socket=[looked(seen={"listens": [SOCK]}), looked("other", **PHP)],
    host_network_with_a_runtime_that_has_it=[looked(NetworkMode="host")],
    socket_that_nobody_else_has=[FPM, looked("other")],
    not_asked_by_docker=[{**looked(), "Seen": None}],
)
def test_nothing_is_told_of_an_app_without_a_difference(apps: Sequence[dict[str, Any]]) -> None:
    assert told(*around(*apps)) == []


def test_both_sides_of_a_shared_socket_are_told_and_where_it_is_looked_for_on_the_node() -> None:
    web = looked("web", mounts=[volume("/v/php", "/sockets")])
    app, apps = around(FPM, web)

    assert told(app, apps) == told(*around(web, FPM)) == ["shared-socket"]
    assert app.on_node(SOCK) == "/v/php/fpm.sock"
    assert app.on_node("/run/phpx") is None


def test_a_socket_of_the_node_in_a_mounted_directory_is_told() -> None:
    app = looked(mounts=[volume("/run/mysqld", "/run/mysqld")])

    assert told(*around(app, sockets=["/run/mysqld/mysqld.sock"])) == ["node-socket"]
    assert told(*around(app, sockets=["/run/mysqld2/mysqld.sock"])) == []


@table(
    "rule, runtime",
    shared_sockets=("shared-socket", Runtime(host_uds="all", flags=(), reason="our own sockets")),
    sockets=("node-socket", Runtime(host_uds="open", flags=(), reason="our own sockets")),
    ping=("raw-socket", Runtime(flags=("--net-raw",), reason="our own monitors")),
    seccomp=("seccomp", STRICT),
)
def test_a_runtime_that_has_it_is_told_nothing(rule: str, runtime: Runtime) -> None:
    assert told(*around(*ABOUT[rule])) == [rule]
    assert told(*around(*ABOUT[rule]), runtime) == []


def test_many_file_systems_that_an_app_mounts_are_told_on_one_line() -> None:
    app, apps = around(looked(seen={"mounted": [f"nfs4 /mnt/{number}" for number in range(9)]}))
    (rule,) = [item for item in DIFFERENCES if item.id == "mounts-inside"]

    assert [*rule.look(app, Ground(Runtime(), apps))] == [
        "nfs4 /mnt/0, nfs4 /mnt/1, nfs4 /mnt/2 and 6 more"
    ]


def test_rules_have_one_name_each_and_whole_sentences() -> None:
    assert len({rule.id for rule in DIFFERENCES}) == len(DIFFERENCES)
    for rule in DIFFERENCES:
        assert rule.what[0].isupper(), rule.id
        assert "." not in (rule.what[-1], rule.todo[-1]), rule.id
