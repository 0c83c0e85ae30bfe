"""Which containers the default runtime takes for infrastructure, and which are imitators."""

from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.pulled import Container
from pyinfra_gvisor.judge.container import Container as JudgedContainer
from pyinfra_gvisor.judge.infrastructure import differences
from tests.table import table
from tests.unit.dispatch.dispatch_files import IMAGE, bind, write_container
from tests.unit.dispatch.judged import ID, NOT_ALLOWED, TODO, Judged, bound

SOCKET = "/var/run/docker.sock"
CONFIG: dict[str, Any] = {
    "Image": "ghcr.io/x/agent:1",
    "Env": ["PATH=/bin", "TOKEN=a"],
    "Cmd": ["serve"],
    "Entrypoint": ["/agent"],
    "User": "root",
    "WorkingDir": "/srv",
    "Healthcheck": {"Test": ["CMD", "/agent", "check"], "Interval": 5000000000},
    "Labels": {"managed": "yes"},
}
HOST: dict[str, Any] = {
    "AutoRemove": True,
    "CapAdd": ["NET_ADMIN"],
    "ExtraHosts": ["host.docker.internal:host-gateway"],
    "GroupAdd": ["998"],
    "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
    "MaskedPaths": ["/proc/kcore"],
    "ReadonlyPaths": ["/proc/sys"],
}
ENTRY: dict[str, Any] = {
    "image": IMAGE,
    "reason": "collects the metrics of the node",
    "entrypoint": ["/agent"],
    "command": ["serve"],
    "env": ["PATH=/bin"],
    "env_free": ["TOKEN"],
    "user": "root",
    "working_dir": "/srv",
    "healthcheck": CONFIG["Healthcheck"],
    "mounts": [f"{SOCKET}:{SOCKET}:rw"],
    "optional_mounts": ["volume=data:/data:rw", "volume:/cache:rw", "volume=logs:/logs:ro"],
    "name": "agent-[a-z]+",
    "capabilities": ["NET_ADMIN"],
    "extra_hosts": HOST["ExtraHosts"],
    "groups": ["998"],
    "ports": ["127.0.0.1:8080:80/tcp"],
    "auto_remove": True,
    "labels": {"managed": "yes"},
    "without_labels": ["com.docker.compose."],
}
DECLARED = Infrastructure(**ENTRY).model_dump()
MOUNTS = {SOCKET: bind(SOCKET)}
OTHERS: dict[str, Any] = {"Path": "/agent", "Args": ["serve"]}


def create(node: Judged, **changes: Any) -> str:
    """Create the entry's container with changes, and return what started or was refused."""
    changed = {
        "name": changes.get("name", "agent-a"),
        "config": {**CONFIG, **changes.get("config", {})},
        "host": {**HOST, **changes.get("host", {})},
        "mounts": changes.get("mounts", MOUNTS),
        "others": {**OTHERS, **changes.get("others", {})},
    }
    node.container(**changed)
    node.spec(*(bound(point.get("Source", ""), to) for to, point in changed["mounts"].items()))
    return node.create("gvisordefault")


def judged(**changes: Any) -> JudgedContainer:
    """Return the entry's container with changes, as a node shows it."""
    config = {**CONFIG, **changes.get("config", {})}
    mounts = changes.get("mounts", MOUNTS).items()
    shown = {
        "Id": ID,
        "Image": IMAGE,
        **OTHERS,
        **changes.get("others", {}),
        "Name": f"/{changes.get('name', 'agent-a')}",
        "Config": config,
        "HostConfig": {**HOST, **changes.get("host", {})},
        "Mounts": [{"Destination": to, **point} for to, point in mounts],
    }
    return Container.model_validate(shown).judged


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node whose policy has one entry."""
    return Judged(tmp_path, None, ENTRY)


@table(
    "changes",
    exact={},
    free_variable={"config": {"Env": ["TOKEN=b", "PATH=/bin"]}},
    free_variable_unset={"config": {"Env": ["PATH=/bin"]}},
    other_tag_of_the_image={"config": {"Image": "evil:1"}},
    default_paths={"host": {"MaskedPaths": None, "ReadonlyPaths": None}},
    network_of_its_own={"host": {"NetworkMode": "apps"}},
    fewer_groups_and_ports={"host": {"GroupAdd": None, "PortBindings": {}}},
)
def test_a_container_as_accepted_runs_under_runc(node: Judged, changes: dict[str, Any]) -> None:
    assert create(node, **changes) == "runc"


@table(
    "to, name, options, other",
    its_volume=("/data", "data", {}, ""),
    one_without_a_name=("/cache", "c" * 64, {}, ""),
    another_volume=("/data", "mine", {}, "volume=mine:/data:rw"),
    one_with_a_name=("/cache", "mine", {}, "volume=mine:/cache:rw"),
    none_with_its_name=("/data", "d" * 64, {}, "volume:/data:rw"),
    a_directory_of_the_node=(
        "/data",
        "data",
        {"MountType": "none", "MountOpts": "bind", "MountDevice": "/etc"},
        "/",
    ),
)
def test_a_volume_fulfils_an_entry_by_its_name(
    node: Judged, to: str, name: str, options: dict[str, str], other: str
) -> None:
    said = create(node, mounts={**MOUNTS, to: node.volume(name, **options)})

    if other:
        shown = f"image {IMAGE[:19]}: other mounts ({other}"
        assert f". The container is not the accepted {shown}" in said
    else:
        assert said == "runc"


STRANGER = {"Image": f"sha256:{8:064x}"}


@pytest.mark.parametrize("runtime", ["gvisordefault", "gvisor"])
@pytest.mark.parametrize("writable", [True, False])
def test_no_sandbox_has_a_volume_to_which_infrastructure_writes(
    tmp_path: Path, runtime: str, *, writable: bool
) -> None:
    node = Judged(tmp_path, None, {**ENTRY, "env": ["KEY=two\nour lines;\n"]})
    point = {**node.volume("data"), "RW": writable}
    node.container(mounts={"/x": point}, others=STRANGER)
    node.spec(bound(point["Source"], "/x"))

    said = node.create(runtime)

    why = "(a volume to which infrastructure writes)"
    assert said == f"{NOT_ALLOWED}mount of {point['Source']} on /x {why}{TODO}"


def test_a_sandbox_may_write_to_a_volume_that_infrastructure_only_reads(node: Judged) -> None:
    point = node.volume("logs")
    assert node.made(bound(point["Source"], "/x"), mounts={"/x": point}, others=STRANGER) == "runsc"


NAMELESS = "e" * 64


@pytest.mark.parametrize("runtime", ["gvisordefault", "gvisor"])
def test_no_sandbox_has_a_nameless_volume_of_infrastructure_however_it_came_by_it(
    node: Judged, runtime: str
) -> None:
    point = node.volume(NAMELESS)
    own = {"name": "agent-b", "config": CONFIG, "host": HOST, "others": OTHERS}
    write_container(node.data, 9, mounts={**MOUNTS, "/cache": point}, **own)
    node.container(mounts={"/x": point}, others=STRANGER)
    node.spec(bound(point["Source"], "/x"))

    assert "on /x (a volume to which infrastructure writes)" in node.create(runtime)


def test_sandboxes_may_share_a_nameless_volume_also_with_an_imitator(node: Judged) -> None:
    point = node.volume(NAMELESS)
    write_container(node.data, 9, name="agent-b", mounts={**MOUNTS, "/cache": point})
    write_container(node.data, 10, name="other", others=STRANGER, mounts={"/y": point})
    assert node.made(bound(point["Source"], "/x"), mounts={"/x": point}, others=STRANGER) == "runsc"


IMITATORS: dict[str, tuple[dict[str, Any], str]] = {
    "command": ({"others": {"Args": ["sh"]}}, "command"),
    "path": ({"others": {"Path": "sh"}}, "command"),
    "entrypoint": ({"config": {"Entrypoint": []}}, "entrypoint"),
    "user": ({"config": {"User": "0"}}, "user"),
    "workdir": ({"config": {"WorkingDir": "/tmp"}}, "working directory"),
    "health": ({"config": {"Healthcheck": {"Test": ["CMD-SHELL", "id"]}}}, "health check"),
    "no-health": ({"config": {"Healthcheck": None}}, "health check"),
    "input": ({"config": {"OpenStdin": True}}, "standard input"),
    "terminal": ({"config": {"Tty": True}}, "terminal"),
    "shell": ({"config": {"Shell": ["/data/sh"]}}, "shell"),
    "bash-env": ({"config": {"Env": ["PATH=/bin", "BASH_ENV=/x"]}}, "environment (BASH_ENV)"),
    "preload": ({"config": {"Env": ["PATH=/bin", "LD_PRELOAD=/x"]}}, "environment (LD_PRELOAD)"),
    "path-twice": ({"config": {"Env": ["PATH=/bin", "PATH=/data"]}}, "environment (PATH)"),
    "variable-missing": ({"config": {"Env": []}}, "environment (PATH)"),
    "mount-over-a-program": (
        {"mounts": {**MOUNTS, "/agent": bind("/dev/null")}},
        "mounts (/dev/null:/agent:rw)",
    ),
    "tmpfs-as-mount": (
        {"mounts": {**MOUNTS, "/data": {"Type": "tmpfs", "RW": True}}},
        "mounts (tmpfs:/data:rw)",
    ),
    "image-as-volume": (
        {"mounts": {**MOUNTS, "/cache": {"Type": "image", "Source": "volume", "RW": True}}},
        "mounts (image=volume:/cache:rw)",
    ),
    "read-only": (
        {"mounts": {SOCKET: bind(SOCKET, writable=False)}},
        f"mounts ({SOCKET}:{SOCKET}:ro)",
    ),
    "secrets": ({"others": {"SecretReferences": [{}]}}, "secrets"),
    "name": ({"name": "agent-a2"}, "name"),
    "name-with-newline": ({"name": "agent-a\n"}, "name"),
    "label-missing": ({"config": {"Labels": {}}}, "label managed"),
    "forbidden-label": (
        {"config": {"Labels": {"managed": "yes", "com.docker.compose.project": "x"}}},
        "label com.docker.compose.project",
    ),
    "privileged": ({"host": {"Privileged": True}}, "privileges"),
    "capability": ({"host": {"CapAdd": ["NET_ADMIN", "ALL"]}}, "capabilities"),
    "host-network": ({"host": {"NetworkMode": "host"}}, "network"),
    "network-of-another": ({"host": {"NetworkMode": "container:x"}}, "network"),
    "pid": ({"host": {"PidMode": "host"}}, "PID namespace"),
    "ipc": ({"host": {"IpcMode": "container:x"}}, "IPC namespace"),
    "uts": ({"host": {"UTSMode": "host"}}, "namespaces"),
    "groups": ({"host": {"GroupAdd": ["998", "0"]}}, "groups"),
    "port": (
        {"host": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}},
        "ports (8080:80/tcp)",
    ),
    "ports-of-ipv6": (
        {"host": {"PortBindings": {"80": [{"HostIp": "::1", "HostPort": "80"}]}}},
        "ports ([::1]:80:80/tcp)",
    ),
    "any-port": ({"host": {"PortBindings": {"53/udp": None}}}, "ports (:53/udp)"),
    "all-ports": ({"host": {"PublishAllPorts": True, "PortBindings": None}}, "ports (all)"),
    "hosts": ({"host": {"ExtraHosts": ["ghcr.io:10.0.0.1"]}}, "host names"),
    "dns": ({"host": {"Dns": ["10.0.0.1"]}}, "Dns"),
    "dns-search": ({"host": {"DnsSearch": ["evil.example"]}}, "DnsSearch"),
    "links": ({"host": {"Links": ["/a:/b"]}}, "Links"),
    "removal": ({"host": {"AutoRemove": False}}, "removal"),
    "device": ({"host": {"Devices": [{}]}}, "Devices"),
    "security": ({"host": {"SecurityOpt": ["apparmor=unconfined"]}}, "SecurityOpt"),
    "unmasked": ({"host": {"MaskedPaths": []}}, "MaskedPaths"),
    "writable-proc": ({"host": {"ReadonlyPaths": []}}, "ReadonlyPaths"),
    "tmpfs": ({"host": {"Tmpfs": {"/agent": ""}}}, "Tmpfs"),
    "sysctl": ({"host": {"Sysctls": {"a": "b"}}}, "Sysctls"),
    "annotation": ({"host": {"Annotations": {"a": "b"}}}, "Annotations"),
    "volumes-from": ({"host": {"VolumesFrom": ["x"]}}, "VolumesFrom"),
    "init": ({"host": {"Init": True}}, "Init"),
    "control-group": ({"host": {"CgroupParent": "/x"}}, "CgroupParent"),
}


@table("changes, what", IMITATORS)
def test_an_imitator_is_refused_docker_sock_and_told_what_differs(
    node: Judged, changes: dict[str, Any], what: str
) -> None:
    said = create(node, **changes)

    assert said.startswith(NOT_ALLOWED)
    assert f". The container is not the accepted image {IMAGE[:19]}: other {what}. Recreate" in said


@table("changes, what", {name: item for name, item in IMITATORS.items() if name != "secrets"})
def test_who_accepts_such_a_container_is_told_the_same(changes: dict[str, Any], what: str) -> None:
    said = [*differences(judged(**changes), DECLARED)]

    assert [item.what for item in said][:1] == [what]


def test_options_may_be_written_as_docker_shows_them() -> None:
    options: dict[str, Any] = {"SecurityOpt": ["label=disable"], "Dns": []}
    entry = Infrastructure(**ENTRY, pid="host", options=options).model_dump()

    other = differences(judged(host={**options, "PidMode": "host"}), entry)

    assert [item.what for item in other] == []


@table(
    "changes",
    other_image={"others": {"Image": f"sha256:{8:064x}"}},
    no_image_id={"others": {"Image": ""}},
)
def test_another_image_is_no_infrastructure_whatever_else_is_the_same(
    node: Judged, changes: dict[str, Any]
) -> None:
    said = create(node, **changes)

    assert said.startswith(f"{NOT_ALLOWED}mount of {SOCKET} on {SOCKET} ")
    assert "accepted" not in said


def test_an_imitator_that_asks_for_nothing_forbidden_runs_in_the_sandbox(node: Judged) -> None:
    assert create(node, mounts={}) == "runsc"


@table(
    "image",
    tag="ghcr.io/coollabsio/coolify-helper:1.2",
    digest=f"ghcr.io/coollabsio/coolify-helper@{IMAGE}",
    tag_and_digest=f"ghcr.io/coollabsio/coolify-helper:1@{IMAGE}",
    registry_of_docker="coollabsio/coolify-helper",
    old_registry_of_docker="index.docker.io/coollabsio/coolify-helper",
)
def test_an_unknown_image_of_a_known_name_is_refused_with_the_command_that_accepts_it(
    tmp_path: Path, image: str
) -> None:
    said = create(Judged(tmp_path), config={"Image": image})

    assert said == (
        f"refused: image {IMAGE} of coolify-helper ({image}) is not accepted on this node. "
        "The operator must check the image, then run on the controller "
        f"'pyinfra-gvisor accept {IMAGE}'"
    )


def test_an_unknown_image_whose_command_operators_choose_is_refused_with_the_containers_name(
    tmp_path: Path,
) -> None:
    socket = {SOCKET: bind(SOCKET, writable=False)}

    said = create(
        Judged(tmp_path), config={"Image": "traefik:v3.6"}, mounts=socket, name="coolify-proxy"
    )

    assert said.startswith(f"refused: image {IMAGE} of coolify-proxy (traefik:v3.6) is not")
    assert said.endswith(" run on the controller 'pyinfra-gvisor accept coolify-proxy'")


@table(
    "image",
    other_registry="localhost:5000/coollabsio/coolify-helper",
    other_registry_with_tag="evil.example/coollabsio/coolify-helper:1",
    library="coolify-helper",
    id=IMAGE,
)
def test_an_image_of_another_name_is_only_a_container_with_docker_sock(
    tmp_path: Path, image: str
) -> None:
    said = create(Judged(tmp_path), config={"Image": image})

    assert said.startswith(f"{NOT_ALLOWED}mount of {SOCKET} on {SOCKET} ")
    assert "accept" not in said
