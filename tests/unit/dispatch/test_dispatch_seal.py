"""The seal as a sealed wrapper applies it: what a sandbox may have, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from tests.arguments import Data
from tests.table import table
from tests.unit.dispatch.dispatch_files import bind
from tests.unit.dispatch.judged import ID, NAMESPACES, NOT_ALLOWED, TODO, Judged, bound

OTHER = f"{8:064x}"


def test_a_plain_container_starts(tmp_path: Path) -> None:
    assert Judged(tmp_path).made() == "runsc"


@table(
    "host, what",
    privileged=({"Privileged": True}, "privileged"),
    network=({"NetworkMode": "host"}, "network namespace of the node"),
    pid=({"PidMode": "host"}, "pid namespace of the node"),
    ipc=({"IpcMode": "host"}, "ipc namespace of the node"),
    uts=({"UTSMode": "host"}, "uts namespace of the node"),
    pid_of_another=({"PidMode": f"container:{OTHER}"}, "PID namespace of another container"),
    sysctl=({"Sysctls": {"kernel.shmmax": "9"}}, "sysctl kernel.shmmax"),
    device=(
        {"Devices": [{"PathOnHost": "/dev/vda", "PathInContainer": "/dev/null"}]},
        "device /dev/vda",
    ),
    device_with_another_name=(
        {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/vda"}]},
        "device /dev/null",
    ),
    device_rule=({"DeviceCgroupRules": ["c 1:1 rwm"]}, "device rule c 1:1 rwm"),
    gpus=({"DeviceRequests": [{"Driver": ""}]}, "devices of driver gpu"),
    cdi=({"DeviceRequests": [{"Driver": "cdi"}]}, "devices of driver cdi"),
    annotation=(
        {"Annotations": {"dev.gvisor.flag.debug": "1"}},
        "annotation dev.gvisor.flag.debug",
    ),
    annotation_of_the_shim=(
        {"Annotations": {"io.containerd.runc.v2.group": "1"}},
        "annotation io.containerd.runc.v2.group",
    ),
    control_group=({"CgroupParent": "../../tmp"}, "control group ../../tmp"),
)
def test_what_a_container_asks_for_in_vain_is_named(tmp_path: Path, host: Data, what: str) -> None:
    assert Judged(tmp_path).made(host=host) == f"{NOT_ALLOWED}{what}{TODO}"


def test_with_remapped_users_those_of_the_node_are_refused(tmp_path: Path) -> None:
    node = Judged(tmp_path, data="docker/100000.100000")

    said = node.made(host={"UsernsMode": "host"})

    assert said == f"{NOT_ALLOWED}user namespace of the node{TODO}"


ZONE = "localtime"  # the harness has this file in place of /etc/localtime


@table(
    "host, mount, gone",
    users_of_the_node_as_every_container_has_them=({"UsernsMode": "host"}, {}, ""),
    its_time_zone=({}, {"to": "/etc/localtime"}, ""),
    its_time_zone_elsewhere=({}, {"to": "/usr/share/zone"}, ""),
    sysctls_of_many_images=(
        {"Sysctls": {"net.core.somaxconn": "9", "net.ipv4.ip_unprivileged_port_start": "0"}},
        {},
        "sysctl net.core.somaxconn; sysctl net.ipv4.ip_unprivileged_port_start",
    ),
)
def test_what_many_apps_ask_for_by_habit_is_no_reason_to_refuse_them(
    tmp_path: Path, host: dict[str, Any], mount: dict[str, str], gone: str
) -> None:
    node = Judged(tmp_path)
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "Berlin").write_text("TZif")
    zone = tmp_path / ZONE
    zone.symlink_to("zones/Berlin")
    mounts = {mount["to"]: bind(zone, writable=False)} if mount else {}
    assert node.made(*(bound(zone, to) for to in mounts), host=host, mounts=mounts) == "runsc"
    journal = tmp_path / "journal"
    removed = journal.read_text() if journal.exists() else ""
    assert removed == (f"-t pyinfra-gvisor -- container app: removed {gone}\n" if gone else "")


@table("kind", writable="file", a_directory="directory", with_another_sysctl="sysctl")
def test_more_than_habit_is_refused_as_before(tmp_path: Path, kind: str) -> None:
    node = Judged(tmp_path)
    zone, other = tmp_path / ZONE, {"Sysctls": {"net.core.somaxconn": "9", "kernel.shmmax": "9"}}
    if kind == "directory":
        zone.mkdir()
    else:
        zone.write_text("TZif")
    mounts = {"/z": bind(zone, writable=kind == "file")} if kind != "sysctl" else {}
    node.container(host=other if kind == "sysctl" else {}, mounts=mounts)
    node.spec(*(bound(zone, to) for to in mounts))

    said = node.create()

    what = "sysctl kernel.shmmax" if kind == "sysctl" else f"mount of {zone} on /z (directory of"
    assert said.startswith(f"{NOT_ALLOWED}{what}")
    assert "somaxconn" not in said


def logged(driver: str, **options: str) -> dict[str, Any]:
    """Options of a container about its logs."""
    return {"LogConfig": {"Type": driver, "Config": options}}


@table(
    "host, what",
    {
        "syslog": (logged("syslog"), "log driver syslog"),
        "plugin": (logged("a/plugin:1"), "log driver a/plugin:1"),
        "another-address-than-dockerds": (
            logged("gelf", **{"gelf-address": "udp://10.0.0.1:1"}),
            "log driver gelf",
        ),
        "program-of-a-unit": (logged("journald", tag="sshd"), "log option tag"),
        "unit": (logged("journald", tag="Web"), "log option tag"),
        "with-a-pid": (logged("journald", tag="web[12]:"), "log option tag"),
        "name-of-a-unit": (logged("journald", tag="audit-web"), "log option tag"),
        "kernel": (logged("journald", tag="kernel"), "log option tag"),
        **{
            name: (logged("journald", tag=name), "log option tag")
            for name in ("su", "sudo", "CRON[9]", "crond", "login", "audit", "auditd", "su (x)")
        },
        **{
            name: (logged("journald", tag=name), "log option tag")
            for name in ("systemd-logind", "sshd-session", "dockerd-x", "containerd-shim")
        },
        "ours": (logged("journald", tag="pyinfra-gvisor"), "log option tag"),
        "its-name": (logged("journald", tag="{{.Name}}"), "log option tag"),
        "any-template": (logged("journald", tag='{{printf "ss"}}hd'), "log option tag"),
        "label": (logged("journald", labels="a,_syslog.identifier"), "log option labels"),
        **{
            ascii(name): (logged("journald", labels=name), "log option labels")
            for name in ("\u00dfSYSLOG_IDENTIFIER", "\u0131unit", "\ufb01\u017fmessage")
        },
        "variable": (logged("journald", env="OBJECT_SYSTEMD_UNIT"), "log option env"),
        "any-variable": (logged("journald", **{"env-regex": "."}), "log option env-regex"),
    },
)
def test_logs_that_dockerd_sends_elsewhere_or_that_pass_for_the_nodes_are_refused(
    tmp_path: Path, host: dict[str, Any], what: str
) -> None:
    node = Judged(tmp_path)
    units(tmp_path)
    daemon_logs(node, "gelf", {"gelf-address": "udp://10.0.0.9:1"})
    assert node.made(host=host, name="sshd") == f"{NOT_ALLOWED}{what}{TODO}"


def units(root: Path) -> None:
    """A unit "web" whose lines have another name than its program."""
    (root / "units").mkdir()
    text = "[Service]\nExecStart=-/usr/sbin/web -D\nSyslogIdentifier=audit-web\n"
    (root / "units" / "web@.service").write_text(text)


def daemon_logs(node: Judged, driver: str, options: dict[str, str]) -> None:
    """Have daemon.json say where containers log that do not say it themselves."""
    known = json.loads((node.root / "daemon.json").read_text())
    text = json.dumps({**known, "log-driver": driver, "log-opts": options})
    (node.root / "daemon.json").write_text(text)


@table(
    "host",
    {
        **{name: logged(name) for name in ("local", "journald", "none")},
        "json-file": logged("json-file", tag="kernel", labels="priority"),
        "own-tag": logged("journald", tag="app/{{.Name}}/{{ .ID }}"),
        "documented-tag": logged("journald", tag="{{.DaemonName}}/{{.ID}}"),
        **{
            name: logged("journald", tag=name)
            for name in ("supabase-db", "surrealdb", "login-api", "auditor", "cronicle", "sudoku")
        },
        "own-labels": logged("journald", labels="com.example.app,team"),
        "as-dockerd": logged("gelf", **{"gelf-address": "udp://10.0.0.9:1"}),
    },
)
def test_other_logs_are_no_reason(tmp_path: Path, host: dict[str, Any]) -> None:
    node = Judged(tmp_path)
    daemon_logs(node, "gelf", {"gelf-address": "udp://10.0.0.9:1"})
    assert node.made(host=host) == "runsc"


def test_a_log_driver_is_allowed_with_a_reason(tmp_path: Path) -> None:
    node = Judged(tmp_path, Seal(log_drivers="allow", reason="apps log to our own collector"))
    assert node.made(host=logged("fluentd")) == "runsc"


@table(
    "host, spec",
    init=({"Init": True}, [bound("/usr/bin/docker-init", "/sbin/docker-init")]),
    init_by_default=({}, [bound("/usr/bin/docker-init", "/sbin/docker-init")]),
    control_group=({"CgroupParent": "/tenants/a"}, []),
    other_annotation=({"Annotations": {"keep.me": "1"}}, []),
    fuse=({"Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse"}]}, []),
    caps=({"CapAdd": ["SYS_ADMIN"], "SecurityOpt": ["seccomp=unconfined"]}, []),
)
def test_what_gvisor_contains_is_no_reason(tmp_path: Path, host: Data, spec: list[Data]) -> None:
    assert Judged(tmp_path).made(*spec, host=host) == "runsc"


@table(
    "name, destination",
    {
        "resolv.conf": ("resolv.conf", "/etc/resolv.conf"),
        "hosts": ("hosts", "/etc/hosts"),
        "hostname": ("hostname", "/etc/hostname"),
        "shm": ("mounts/shm", "/dev/shm"),
    },
)
def test_the_files_of_a_container_whose_namespaces_are_shared_are_allowed_in_their_place_only(
    tmp_path: Path, name: str, destination: str
) -> None:
    node = Judged(tmp_path)
    node.container(host={"NetworkMode": f"container:{OTHER}"})
    source = f"{node.data}/containers/{OTHER}/{name}"
    node.spec(bound(source, destination))
    shared = node.create()
    node.spec(bound(source, "/elsewhere"))

    elsewhere = node.create()

    assert shared == "runsc"
    assert elsewhere == f"{NOT_ALLOWED}mount of {source} on /elsewhere{TODO}"


def test_secrets_and_configs_of_swarm_are_allowed(tmp_path: Path) -> None:
    node = Judged(tmp_path)
    own = f"{node.data}/containers/{ID}/mounts"
    mounts = bound(f"{own}/secrets/a", "/run/secrets/a"), bound(f"{own}/configs/b", "/b")

    assert node.made(*mounts) == "runsc"


@pytest.mark.parametrize("kind", NAMESPACES)
def test_a_namespace_that_the_specification_lacks_is_the_nodes(tmp_path: Path, kind: str) -> None:
    others = [{"type": other} for other in NAMESPACES if other != kind]

    said = Judged(tmp_path).made(spec={"namespaces": others})

    assert said == f"{NOT_ALLOWED}{kind} namespace of the node{TODO}"


def join(node: Judged, path: str, kind: str = "network") -> str:
    """Create a container with a namespace of another one, and return what came of it."""
    own = [{"type": other} for other in NAMESPACES if other != kind]
    spec = {"namespaces": [*own, {"type": kind, "path": path}]}
    return node.made(spec=spec, host={"NetworkMode": f"container:{OTHER}"})


def test_the_network_of_a_container_in_gvisor_may_be_shared(tmp_path: Path) -> None:
    node = Judged(tmp_path)
    (tmp_path / "proc" / "42").mkdir(parents=True)
    sentry = tmp_path / "releases" / "20260928.0" / "gvisor-bin" / "gvisor_sentry"
    sentry.parent.mkdir()
    sentry.write_text("")
    (tmp_path / "proc" / "42" / "exe").symlink_to(sentry)

    assert join(node, "/proc/42/ns/net") == "runsc"


@pytest.mark.parametrize("kind", ["network", "ipc", "uts"])
@pytest.mark.parametrize("path", ["/proc/43/ns/net", "/proc/44/ns/net", "/run/docker/netns/1"])
def test_a_namespace_of_a_container_outside_of_gvisor_is_refused(
    tmp_path: Path, path: str, kind: str
) -> None:
    node = Judged(tmp_path)
    (tmp_path / "proc" / "43").mkdir(parents=True)
    (tmp_path / "proc" / "43" / "exe").symlink_to("/usr/bin/traefik")

    said = join(node, path, kind)

    assert said == f"{NOT_ALLOWED}{kind} namespace of a container outside of gVisor{TODO}"


@table(
    "path, said",
    buildkits_own=("/docker/buildkit/abc", "runsc"),
    by_systemd=("system.slice:docker:abc", "runsc"),
    that_leads_up=(
        "/../../tmp/x.slice:abc",
        (
            "refused: a build step in a sandbox may not have: control group "
            "/../../tmp/x.slice:abc. Build without these options, or allow them in gvisor_seal"
        ),
    ),
)
def test_a_build_step_stays_below_its_control_group(tmp_path: Path, path: str, said: str) -> None:
    node = Judged(tmp_path)
    node.spec(linux={"cgroupsPath": path})
    bundle = node.data / "buildkit" / "executor" / "abc"
    bundle.parent.mkdir(parents=True)
    bundle.symlink_to(node.bundle)

    assert node.decided("run", "--bundle", str(bundle), "abc") == said


def test_a_device_that_only_the_specification_has_is_refused(tmp_path: Path) -> None:
    devices = [{"path": "/dev/nvidiactl", "type": "c", "major": 195}]

    said = Judged(tmp_path).made(spec={"linux": {"devices": devices}})

    assert said == f"{NOT_ALLOWED}device /dev/nvidiactl{TODO}"


def test_a_mount_that_docker_does_not_know_is_refused(tmp_path: Path) -> None:
    said = Judged(tmp_path).made(bound("/usr/lib/libcuda.so", "/usr/lib/libcuda.so"))

    assert said == f"{NOT_ALLOWED}mount of /usr/lib/libcuda.so on /usr/lib/libcuda.so{TODO}"


def test_files_of_a_driver_are_allowed_with_its_devices(tmp_path: Path) -> None:
    node = Judged(tmp_path, Seal(devices="allow", reason="our workers need the GPU"))
    mount = bound("/usr/lib/libcuda.so", "/usr/lib/libcuda.so")

    assert node.made(mount, host={"DeviceRequests": [{"Driver": "cdi"}]}) == "runsc"


def test_a_bind_that_calls_itself_a_tmpfs_is_refused(tmp_path: Path) -> None:
    mount = {"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["bind"]}

    said = Judged(tmp_path).made(mount, host={"Tmpfs": {"/x": "bind"}})

    assert said == f"{NOT_ALLOWED}mount of tmpfs on /x{TODO}"


def test_a_long_list_of_reasons_is_cut(tmp_path: Path) -> None:
    said = Judged(tmp_path).made(host={"Sysctls": {f"a.{number}": "1" for number in range(9)}})

    kept = "; ".join(f"sysctl a.{number}" for number in range(5))
    assert said == f"{NOT_ALLOWED}{kept}; and 4 more{TODO}"


KEPT = {"keep.me": '"\\é'}


@table(
    "kind, host, before, after, logged",
    annotations=(
        "annotations",
        {"Annotations": {"dev.gvisor.x": "1"}},
        {"annotations": {"dev.gvisor.x": "1", **KEPT}},
        {"annotations": KEPT},
        "annotation dev.gvisor.x",
    ),
    sysctls=(
        "sysctls",
        {"Sysctls": {"net.core.somaxconn": "9"}},
        {"linux": {"sysctl": {"net.core.somaxconn": "9", "a.b": "1"}}},
        {"linux": {"sysctl": {"a.b": "1"}}},
        "sysctl net.core.somaxconn",
    ),
    devices=(
        "devices",
        {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]},
        {"linux": {"devices": [{"path": "/dev/sda"}]}},
        {"linux": {"devices": []}},
        "device /dev/sda",
    ),
)
def test_what_is_stripped_is_gone_and_logged_and_every_other_byte_is_the_same(
    tmp_path: Path, *, kind: str, host: Any, before: Any, after: Any, logged: str
) -> None:
    node = Judged(tmp_path, Seal.model_validate({kind: "strip"}))
    wanted = node.spec(hostname="bär", **after)

    assert node.made(host=host, spec={"hostname": "bär", **before}) == "runsc"
    assert node.text() == wanted
    journal = (tmp_path / "journal").read_text()
    assert journal == f"-t pyinfra-gvisor -- container app: removed {logged}\n"


def test_hooks_of_devices_are_stripped_and_dockers_own_stays(tmp_path: Path) -> None:
    own = {"path": "/proc/1/exe", "args": ["libnetwork-setkey", "-exec-root=/run/docker"]}
    others = {"path": "/usr/bin/nvidia-container-runtime-hook", "args": ["x", "prestart"]}
    node = Judged(tmp_path, Seal(devices="strip"))
    node.container(host={"DeviceRequests": [{"Driver": ""}]})
    wanted = node.spec(hooks={"prestart": [own]})
    node.spec(hooks={"prestart": [others, own], "createContainer": [others]})

    assert node.create() == "runsc"
    assert (node.bundle / "config.json").read_text() == wanted


def test_a_container_without_what_is_stripped_keeps_its_specification(tmp_path: Path) -> None:
    node = Judged(tmp_path, Seal(annotations="strip", devices="strip", sysctls="strip"))
    node.container()
    text = node.spec(annotations={"keep.me": "1"})

    node.create()

    assert (node.bundle / "config.json").read_text() == text
    assert not (tmp_path / "journal").exists()


def test_a_mount_source_with_any_characters_is_told_in_valid_json(tmp_path: Path) -> None:
    source = tmp_path / 'a"b\\c\nd é\x7f'
    source.mkdir()
    node = Judged(tmp_path)
    node.container(mounts={"/x": bind(source)})
    node.spec(bound(source, "/x"))

    assert node.create() == f"{NOT_ALLOWED}mount of {source} on /x (directory of the node){TODO}"
