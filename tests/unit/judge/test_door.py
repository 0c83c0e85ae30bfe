"""The door: what dockerd may do for a request, before it does anything."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.dispatch.seal import Seal
from pyinfra_gvisor.judge import mounts
from pyinfra_gvisor.judge.docker_request import Request
from pyinfra_gvisor.judge.door import passes_at_once, why_refused
from pyinfra_gvisor.judge.permits import HEADER
from pyinfra_gvisor.judge.requested import requested_container
from tests.table import table
from tests.unit.dispatch.dispatch_files import IMAGE, bind, infrastructure, write_container
from tests.unit.dispatch.judged import TODO, Judged

DOCKER = 42
SOCKET = "/var/run/docker.sock"
OTHER = 9
ALLOWED = ""


def has_docker(node: Judged) -> Judged:
    """The node, on which dockerd runs."""
    open_files = node.root / "proc" / str(DOCKER) / "fd"
    open_files.mkdir(parents=True)
    (open_files / "7").symlink_to(f"{node.data}/volumes/metadata.db")
    (open_files / "8").symlink_to("socket:[1234]")
    (node.data / "containers").mkdir(exist_ok=True)
    return node


@pytest.fixture
def node(tmp_path: Path) -> Judged:
    """A node on which the docker socket is mounted by infrastructure only."""
    proxy = infrastructure(mounts=(f"{SOCKET}:{SOCKET}:rw", "volume=certs:/certs:rw"))
    seal = Seal(binds=(f"{tmp_path}/shared",))
    (tmp_path / "shared").mkdir()
    return has_docker(Judged(tmp_path, seal, proxy))


def asked(
    node: Judged,
    what: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> str:
    """Return why a request is refused, such as ``POST /containers/create``."""
    method, uri = what.split(" ", 1)
    text = body if isinstance(body, str) else json.dumps(body)
    data = None if body is None else text.encode("utf-8", "surrogateescape")
    return why_refused(Request(method, uri, headers or {}, data, DOCKER), node.paths)


def created(node: Judged, host: Mapping[str, Any] | None = None, **config: Any) -> str:
    """Return why a container is refused."""
    body = {"Image": "bb:1", **config, "HostConfig": host or {}}
    return asked(node, "POST /v1.45/containers/create?name=app", body)


def proxy(*binds: str, **host: Any) -> dict[str, Any]:
    """What infrastructure asks for."""
    return {"Binds": [f"{SOCKET}:{SOCKET}", *(binds or ("certs:/certs",))], **host}


@pytest.mark.parametrize(
    ("host", "config", "refused"),
    [
        ({}, {}, ""),
        ({"Binds": ["/etc:/x"]}, {}, "mount of /etc on /x"),
        ({"Binds": ["/etc:/x:ro,rslave"]}, {}, "mount of /etc on /x"),
        ({"Binds": ["/nowhere/at/all:/x"]}, {}, "mount of /nowhere/at/all on /x"),
        ({"Binds": ["data:/x", "/x2"]}, {}, ""),
        ({"Binds": ["../../etc:/x"]}, {}, "../../etc is not a valid volume name"),
        ({"Binds": ["a:b:c:d"]}, {}, "a:b:c:d is not a mount"),
        ({"Binds": ["ssh:/x"], "VolumeDriver": "sshfs"}, {}, "volume driver sshfs"),
        ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}, {}, "mount of / on /x"),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/x"}]}, {}, ""),
        ({"Mounts": [{"Type": "image", "Source": "bb:1", "Target": "/x"}]}, {}, ""),
        ({"Mounts": [{"Type": "cluster", "Source": "c", "Target": "/x"}]}, {}, "type cluster"),
        ({"Mounts": [{"Type": "volume", "Source": "data", "Target": "/x"}]}, {}, ""),
        ({"Mounts": [{"Type": "volume", "Target": "/x"}]}, {}, ""),
        ({"Privileged": True}, {}, "privileged"),
        ({"PidMode": "host"}, {}, "pid namespace of the node"),
        ({"NetworkMode": "host"}, {}, "network namespace of the node"),
        ({"NetworkMode": "container:nobody"}, {}, "0 containers match nobody"),
        ({"VolumesFrom": ["nobody"]}, {}, "0 containers match nobody"),
        ({"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/d"}]}, {}, "device /dev/sda"),
        ({"DeviceRequests": [{"Driver": "cdi"}]}, {}, "devices of driver cdi"),
        ({"LogConfig": {"Type": "syslog"}}, {}, "log driver syslog"),
        ({"LogConfig": {"Type": "../../x"}}, {}, "log driver ../../x"),
        ({"LogConfig": {"Type": "", "Config": {"tag": "x"}}}, {}, ""),
        ({"LogConfig": {"Config": {"max-size": "10m", "max-file": "3"}}}, {}, ""),
        ({"LogConfig": {"Config": {"max-size": "1"}}}, {}, "log option max-size=1"),
        ({"LogConfig": {"Config": {"max-file": "2000000000"}}}, {}, "log option max-file=2"),
        ({"LogConfig": {"Config": {"max-buffer-size": "1t"}}}, {}, "log option max-buffer-size=1t"),
        ({"Links": ["other:x"]}, {}, "--link, which shows variables of other containers"),
        ({"Links": ["other:x"], "NetworkMode": "own"}, {}, ""),
        ({"OomScoreAdj": -1000}, {}, "oom_score_adj below 0"),
        ({"OomScoreAdj": 500}, {}, ""),
        ({}, {"Healthcheck": {"Interval": 1_000_000}}, "a health check interval below 1 s"),
        ({}, {"Healthcheck": {"Interval": 5_000_000_000}}, ""),
        ({"Binds": [f"{'/a' * 400_000}:/x"]}, {}, "mount of /a"),
        ({"VolumeDriver": "../../../mine/x"}, {}, "volume driver ../../../mine/x"),
        ({"VolumeDriver": "sshfs"}, {"Volumes": {"/p": {}}}, "volume driver sshfs"),
        ({"VolumeDriver": "local"}, {"Volumes": {"/p": {}}}, ""),
        ({"Annotations": {"dev.gvisor.spec.mount.x": "y"}}, {}, "annotation dev.gvisor"),
        ({"CgroupParent": "/../x"}, {}, "control group /../x"),
        ({"Runtime": "gvisor"}, {}, ""),
        ({"Runtime": "gvisor", "Privileged": True}, {}, "privileged"),
        ({"Runtime": "runc"}, {}, "runtime runc does not use gVisor"),
        ({"Runtime": "io.containerd.runc.v2"}, {}, "does not use gVisor"),
        ({}, {"Volumes": {"/data": {}}}, ""),
        ({}, {"Binds": ["/etc:/x"]}, "unknown key Binds"),
        ({}, {"hostconfig": {"Privileged": True}}, "unknown key hostconfig"),
        ({}, {"ho\u017ftConfig": {"Privileged": True}}, "unknown key ho\u017ftConfig"),
        ({"privileged": False}, {}, "unknown key HostConfig.privileged"),
        ({"Mounts": [{"type": "bind"}]}, {}, "unknown key HostConfig.Mounts.type"),
        ({"New": {"Key": 1}}, {}, "unknown key HostConfig.New"),
        ({"New": None}, {}, ""),
        ({"Mounts": "no list"}, {}, "HostConfig.Mounts is not a JSON object"),
    ],
)
def test_a_container_is_judged_before_dockerd_makes_it(
    node: Judged, host: dict[str, Any], config: dict[str, Any], refused: str
) -> None:
    why = created(node, host, **config)

    assert refused in why
    assert bool(refused) is bool(why)


def test_the_message_is_that_of_a_start(node: Judged) -> None:
    why = created(node, {"Binds": ["/etc:/x"]})

    assert why == f"a sandbox may not have: mount of /etc on /x (directory of the node){TODO}"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "dockerd did not pass on the body of this request"),
        ("", "the request is not complete"),
        ('{"Image": "bb:1"', "the request is not complete"),
        ("[]", "the request is not complete"),
        ('{"Image": "bb:1", "Image": "bb:2"}', "the request is not complete"),
        ('{"HostConfig": {"Privileged": false, "Privileged": true}}', "is not complete"),
        ('{"HostConfig": []}', ""),
        ('{"Image": "bb:1"} {"HostConfig": {}}', "the request is not complete"),
        ("[" * 100_000, "the request is not complete"),
        ('{"Image": "\\udcff"}', "invalid Unicode characters"),
        ('{"Image": "\udcff"}', "invalid Unicode characters"),
    ],
)
def test_what_cannot_be_read_as_dockerd_reads_it_is_refused(
    node: Judged, body: str | None, why: str
) -> None:
    said = asked(node, "POST /containers/create", body)

    assert why in said
    assert bool(why) is bool(said)


@pytest.mark.parametrize(
    ("what", "passes"),
    [
        ("GET /v1.45/containers/json?all=1", True),
        ("HEAD /_ping", True),
        ("GET /anything/new", True),
        ("POST /v1.45/containers/app/stop?t=1", True),
        ("POST /containers/app/start", True),
        ("POST /containers/app/kill", True),
        ("POST /build?version=2&remote=client-session", True),
        ("POST /build?remote=http%3A%2F%2F169.254.169.254%2F", False),
        ("POST /build?cgroupparent=..%2F..", False),
        ("POST /images/create?fromImage=bb&tag=1", True),
        ("POST /images/create?fromSrc=-", True),
        ("POST /images/create?fromSrc=http%3A%2F%2F169.254.169.254%2F", False),
        ("POST /images/a/b/c/push", True),
        ("POST /session", True),
        ("DELETE /v1.45/containers/app?force=1", True),
        ("DELETE /volumes/data", True),
        ("POST /plugins/pull?remote=x", False),
        ("POST /plugins/x/enable", False),
        ("POST /plugins/x/disable", False),
        ("DELETE /plugins/x", False),
        ("POST /swarm/join", False),
        ("POST /swarm/init", False),
        ("POST /swarm/leave", True),
        ("POST /swarm/update", False),
        ("POST /nodes/x/update", False),
        ("GET /v1.45/swarm", False),
        ("GET /swarm/unlockkey?x", False),
        ("GET /swarms", True),
        ("POST /v1.23/containers/app/start", False),
        ("POST /v01.23/containers/app/stop", False),
        ("GET /v1.12/containers/json", True),
        ("POST /v1.24/containers/app/start", True),
        ("POST /images/create?x=1;fromSrc=http://h/", False),
        ("PUT /volumes/x", False),
        ("POST /containers/app/checkpoints", False),
        ("DELETE /containers/app/checkpoints/x?dir=/etc", False),
        ("POST /containers/app/start?checkpoint=x&checkpoint-dir=/etc", False),
        ("POST /anything/new", False),
        ("POST /%63ontainers/create", False),
        ("POST //containers/create", False),
        ("POST http://docker/containers/create", False),
        ("PATCH /containers/create", False),
        ("POST /v1.45/v1.45/containers/app/stop", False),
    ],
)
def test_a_request_passes_by_its_method_and_path(node: Judged, what: str, passes: bool) -> None:
    assert (asked(node, what) == "") is passes


@table(
    "host, more, at_once",
    {
        "plain": ({"Memory": 5}, {}, True),
        "refused": ({"Privileged": True}, {}, False),
        "unreadable": ({"privileged": True}, {}, False),
        "bind": ({"Binds": ["own:/x"]}, {}, False),
        "mount": ({"Mounts": [{"Type": "volume", "Target": "/x"}]}, {}, False),
        "mounts-of-another": ({"VolumesFrom": ["nobody"]}, {}, False),
        "network-of-another": ({"NetworkMode": "container:app"}, {}, False),
        "long": ({"Memory": 5}, {"Env": ["x" * 70_000]}, False),
        "permit": ({"Memory": 5}, {"headers": {HEADER: "5" * 64}}, False),
        "another-request": ({}, {"uri": "/containers/app/update"}, False),
    },
)
def test_only_what_names_no_file_is_judged_without_a_process_of_its_own(
    node: Judged, host: dict[str, Any], more: dict[str, Any], at_once: bool
) -> None:
    body = json.dumps({"Image": "bb:1", "Env": more.get("Env"), "HostConfig": host}).encode()
    uri, headers = more.get("uri", "/v1.45/containers/create"), more.get("headers", {})

    assert passes_at_once(Request("POST", uri, headers, body, DOCKER), node.paths) is at_once


def test_words_of_a_form_are_not_taken_for_those_of_the_query(node: Judged) -> None:
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        said = asked(node, "POST /build?remote=", headers={"Content-Type": kind})
        assert "a form is refused as the body" in said


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({}, False),
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}, True),
        ({"type": "none", "o": "bind", "device": "/usr/local/sbin"}, True),
        ({"type": "none", "o": "rbind,ro", "device": "usr/local/sbin"}, True),
        ({"type": "none", "o": "bind", "device": "SHARED"}, False),
        ({"type": "ext4", "device": "/dev/sda1"}, True),
        ({"type": "nfs", "o": "addr=10.0.0.1", "device": ":/x"}, True),
        ({"type": "overlay", "device": "x", "o": "lowerdir=/etc"}, True),
    ],
)
def test_a_volume_is_judged_by_its_options(
    node: Judged, options: dict[str, str], refused: bool
) -> None:
    shared = f"{node.root}/shared"
    given = {key: shared if text == "SHARED" else text for key, text in options.items()}
    mount = {"Type": "volume", "Source": "v", "Target": "/x"}
    inline = {**mount, "VolumeOptions": {"NoCopy": True, "DriverConfig": {"Options": given}}}

    assert bool(asked(node, "POST /volumes/create", {"Name": "v", "DriverOpts": given})) is refused
    assert bool(created(node, {"Mounts": [inline]})) is refused


def test_no_image_is_copied_to_where_links_are_followed(node: Judged) -> None:
    device = f"{node.root}/shared"
    node.volume("shared", MountType="none", MountOpts="bind", MountDevice=device)
    mount: dict[str, Any] = {"Type": "volume", "Source": "shared", "Target": "/x"}

    for given in ({"Binds": ["shared:/x"]}, {"Binds": ["shared:/x:rw"]}, {"Mounts": [mount]}):
        assert "would follow symbolic links there" in created(node, given)
    mount["VolumeOptions"] = {"NoCopy": True}
    for given in ({"Binds": ["shared:/x:rw,nocopy"]}, {"Mounts": [mount]}, {"Binds": ["own:/x"]}):
        assert created(node, given) == ""


def test_nor_into_a_volume_that_is_mounted_otherwise_than_all_volumes(
    node: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("own", "other"):
        (node.data / "volumes" / name / "_data").mkdir(parents=True)
    other = str(node.data / "volumes" / "other" / "_data")
    monkeypatch.setattr(mounts, "follows_links", lambda path: path == other)

    assert (
        created(node, {"Binds": ["own:/x"]}) == created(node, {"Binds": ["other:/x:nocopy"]}) == ""
    )
    assert "would follow symbolic links there" in created(node, {"Binds": ["other:/x"]})


def test_a_volume_that_exists_is_judged_by_its_own_options(node: Judged) -> None:
    node.volume("old", MountType="none", MountOpts="bind", MountDevice="/etc")

    assert "mount of" in created(node, {"Binds": ["old:/x"]})


def test_a_directory_that_dockerd_would_make_is_judged_by_where_it_would_be(node: Judged) -> None:
    (node.root / "shared" / "out").symlink_to("/etc")

    assert created(node, {"Binds": [f"{node.root}/shared/new/one:/x"]}) == ""
    assert "mount of" in created(node, {"Binds": [f"{node.root}/shared/out/new:/x"]})
    assert "mount of" in created(node, {"Binds": [f"{node.root}/shared/../new:/x"]})
    (node.root / "link").symlink_to(node.root / "shared")
    assert "mount of" in created(node, {"Binds": [f"{node.root}/link/../../etc/new:/x"]})
    assert "mount of" in created(node, {"Binds": [f"{node.root}/sharedness:/x"]})


def test_infrastructure_passes_as_far_as_a_request_tells(node: Judged) -> None:
    node.volume("certs")
    (node.data / "volumes" / "certs" / "_data" / "cert").write_text("x")

    assert created(node, proxy()) == ""
    assert "mount of" in created(node, proxy(), Env=["LD_PRELOAD=/x"])
    assert "mount of" in created(node, proxy(), Cmd=["sh"])
    assert "log driver gelf" in created(node, proxy(LogConfig={"Type": "gelf"}))
    assert "a volume to which infrastructure writes" in created(node, {"Binds": ["certs:/x"]})


def test_an_image_of_a_known_kind_is_named_with_the_command_that_leads_to_its_id(
    node: Judged,
) -> None:
    helper = "ghcr.io/coollabsio/coolify-helper:9"

    said = created(node, {"Binds": [f"{SOCKET}:{SOCKET}"]}, Image=helper)

    assert said == (
        f"image of coolify-helper ({helper}) is not accepted on this node. Check the image, then "
        "run on the controller 'pyinfra-gvisor infrastructure', which names its id"
    )


def test_a_container_whose_entry_is_to_be_read_from_it_is_made_if_it_asks_for_no_more(
    node: Judged,
) -> None:
    socket, directory = f"{SOCKET}:{SOCKET}:ro", "/data/coolify/proxy:/traefik"

    its = {"coolify.proxy": "true", "com.docker.compose.project.working_dir": "/data/coolify/proxy"}

    def asks(*binds: str, name: str = "coolify-proxy", labels: Any = its, **host: Any) -> str:
        body = {"Image": "traefik:v3.6", "Labels": labels, "HostConfig": {"Binds": binds, **host}}
        return asked(node, f"POST /v1.45/containers/create?name={name}", body)

    assert asks(socket, directory) == ""
    assert asks(socket, directory, "data:/x") == ""
    assert "is not accepted on this node" in asks(socket, directory, name="mine")
    assert "is not accepted on this node" in asks(socket, directory, labels={})
    assert "is not accepted on this node" in asks(socket, directory, "/etc:/x")
    assert "is not accepted on this node" in asks(socket, directory, PidMode="host")


def test_a_new_program_that_needs_docker_is_made_if_it_asks_for_nothing_else_of_the_node(
    node: Judged,
) -> None:
    def asks(*binds: str, name: str = "edge-proxy-1", **host: Any) -> str:
        labels = {"com.docker.compose.project": "edge"}
        body = {"Image": "traefik:v3.6", "Labels": labels, "HostConfig": {"Binds": binds, **host}}
        return asked(node, f"POST /v1.45/containers/create?name={name}", body)

    for mode in ("ro", "rw"):
        assert asks(f"{SOCKET}:{SOCKET}:{mode}", "acme:/acme") == ""
    with_file = asks(f"{SOCKET}:{SOCKET}:ro", "/srv/edge/traefik.yml:/etc/traefik.yml")
    assert "It cannot be created to accept it, because it has mount of /srv/edge/" in with_file
    assert "in binds of gvisor_seal" in with_file
    assert "because it has privileges" in asks(f"{SOCKET}:{SOCKET}:ro", Privileged=True)
    imitated = asks(f"{SOCKET}:{SOCKET}", name="coolify-proxy")
    assert "mount of" in imitated, "this name is of another kind"


def test_what_compose_calls_so_until_the_old_one_is_gone_is_judged_by_its_own_name(
    tmp_path: Path,
) -> None:
    entry = infrastructure(mounts=(f"{SOCKET}:{SOCKET}:rw",), name="proxy")
    node = has_docker(Judged(tmp_path, None, entry))
    body = {"Image": "bb:1", "HostConfig": {"Binds": [f"{SOCKET}:{SOCKET}"]}}

    said = {
        name: asked(node, f"POST /v1.45/containers/create?name={name}", body)
        for name in ("proxy", "0123456789ab_proxy", "0123456789ab_other", "123_proxy")
    }

    assert [name for name, text in said.items() if not text] == ["proxy", "0123456789ab_proxy"]


def test_no_image_is_copied_into_a_volume_of_infrastructure(node: Judged) -> None:
    assert "the volume certs of infrastructure is empty" in created(node, proxy())
    assert "mount of" in created(node, proxy(), Image=IMAGE[:-1] + "8")
    assert created(node, proxy(), Image=IMAGE) == ""


def test_runc_by_name_needs_the_image_by_its_id(node: Judged) -> None:
    node.volume("certs")
    (node.data / "volumes" / "certs" / "_data" / "cert").write_text("x")

    assert "does not use gVisor" in created(node, proxy(Runtime="runc"))
    assert "does not use gVisor" in created(node, proxy(Runtime="runc"), Image=IMAGE[:-1] + "8")
    assert created(node, proxy(Runtime="runc"), Image=IMAGE) == ""


@pytest.mark.parametrize("name", ["other", f"{OTHER:064x}", f"{OTHER:064x}"[:12]])
@pytest.mark.parametrize(
    ("mounts", "refused"),
    [
        ({}, False),
        ({"/x": bind("/etc")}, True),
        ({"/x": bind("/etc", writable=False)}, True),
        ({"/etc/localtime": bind("LOCALTIME", writable=False)}, False),
        ({"/x": {"Type": "volume", "Name": "v", "Driver": "local", "RW": True}}, False),
        ({"/x": {"Type": "volume", "Name": "v", "Driver": "sshfs", "RW": True}}, True),
    ],
)
def test_files_go_only_into_containers_without_files_of_the_node(
    node: Judged, mounts: dict[str, Any], refused: bool, name: str
) -> None:
    localtime = Path(node.paths.public[0])
    localtime.touch()
    text = json.dumps(mounts).replace("LOCALTIME", str(localtime))
    write_container(node.data, OTHER, name="other", mounts=json.loads(text))

    assert bool(asked(node, f"PUT /containers/{name}/archive?path=/")) is refused


def test_files_go_into_infrastructure(node: Judged) -> None:
    certs = node.volume("certs")
    mounts = {SOCKET: bind(SOCKET), "/certs": certs}
    write_container(node.data, OTHER, name="proxy", mounts=mounts)

    assert asked(node, "PUT /containers/proxy/archive?path=/") == ""
    assert asked(node, "POST /containers/proxy/exec", {"Cmd": ["sh"], "Privileged": True}) == ""


def test_a_mount_that_is_read_only_at_its_top_alone_is_a_writable_one(node: Judged) -> None:
    mount = {"Type": "bind", "Source": SOCKET, "Target": SOCKET, "ReadOnly": True}
    below = {**mount, "BindOptions": {"ReadOnlyNonRecursive": True}}

    found = [
        requested_container({"HostConfig": {"Mounts": [item]}}, "", str(node.data)).mounts[0]
        for item in (mount, below)
    ]

    assert [str(item)[-2:] for item in found] == ["ro", "rw"]


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({}, ""),
        ({"com.docker.network.endpoint.ifname": "eth7"}, ""),
        ({"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.proxy_arp=1"}, "sysctls"),
    ],
)
def test_options_of_a_container_in_a_network_are_known_ones(
    node: Judged, options: dict[str, str], refused: str
) -> None:
    end = {"DriverOpts": options}

    said = created(node, NetworkingConfig={"EndpointsConfig": {"n": end}})
    joins = asked(node, "POST /networks/n/connect", {"Container": "app", "EndpointConfig": end})

    assert refused in said
    assert bool(said) is bool(joins) is bool(refused)


def test_compose_runs_no_command_in_infrastructure(node: Judged) -> None:
    mounts = {SOCKET: bind(SOCKET), "/certs": node.volume("certs")}
    write_container(node.data, OTHER, name="proxy", mounts=mounts)
    write_container(node.data, 1, name="app")
    body, by = {"Cmd": ["sh"]}, {"User-Agent": "compose/v2.40.3"}

    assert "Compose may not run commands" in asked(node, "POST /containers/proxy/exec", body, by)
    assert asked(node, "POST /containers/app/exec", body, by) == ""
    assert asked(node, "POST /containers/proxy/exec", body) == ""


def test_two_files_that_may_be_dockers_are_not_told_apart(node: Judged) -> None:
    copied = node.root / "proc" / str(DOCKER) / "fd" / "5"
    copied.symlink_to(f"{node.data}/volumes/v/_data/r/volumes/metadata.db")

    assert "has 2 files" in created(node)


def test_a_name_that_is_the_beginning_of_another_id_is_refused(node: Judged) -> None:
    write_container(node.data, OTHER, name="other")
    write_container(node.data, 1, name="0" * 12)

    assert "2 containers match" in asked(node, f"PUT /containers/{'0' * 12}/archive")


def test_a_label_is_no_name(node: Judged) -> None:
    write_container(node.data, OTHER, name="other", config={"Labels": {"Name": "/it"}})

    assert "0 containers match it" in asked(node, "PUT /containers/it/archive")


def test_privileges_come_with_no_exec_and_no_update(node: Judged) -> None:
    write_container(node.data, OTHER, name="other")
    device = [{"PathOnHost": "/dev/sda"}]

    assert asked(node, "POST /containers/other/exec", {"Cmd": ["sh"]}) == ""
    assert "privileged" in asked(node, "POST /containers/other/exec", {"Privileged": True})
    assert asked(node, "POST /containers/other/update", {"Memory": 1, "Devices": None}) == ""
    assert "Devices" in asked(node, "POST /containers/other/update", {"Devices": device})
    assert "unknown key" in asked(node, "POST /containers/other/start", {"Privileged": True})
    assert asked(node, "POST /containers/other/start", {}) == ""


def test_a_service_is_judged_like_its_containers(node: Judged) -> None:
    def service(**spec: Any) -> str:
        task = {"ContainerSpec": {"Image": "bb:1", **spec}}
        return asked(node, "POST /services/create", {"Name": "s", "TaskTemplate": task})

    assert service() == ""
    assert "mount of /etc" in service(Mounts=[{"Type": "bind", "Source": "/etc", "Target": "/x"}])
    option = {"type": "tmpfs", "o": '{{"bi"}}nd', "device": "/usr/local/sbin"}
    volume = {"Type": "volume", "Source": "v", "Target": "/x"}
    volume |= {"VolumeOptions": {"DriverConfig": {"Options": option}}}
    assert "template" in service(Mounts=[volume])
    socket = {"Type": "bind", "Source": SOCKET, "Target": SOCKET}
    certs = {"Type": "volume", "Source": "certs", "Target": "/certs"}
    assert "the volume certs of infrastructure is empty" in service(Mounts=[socket, certs])
    assert service(Mounts=[socket, certs], Image=IMAGE) == ""
    others = {"TTY": True, "OpenStdin": True, "Groups": ["998"], "Init": True}
    others |= {"DNSConfig": {"Search": ["x"]}, "Privileges": {"Seccomp": {"Mode": "x"}}}
    for key, other in others.items():
        assert f"mount of {SOCKET}" in service(Mounts=[socket, certs], Image=IMAGE, **{key: other})
    assert "unknown key TaskTemplate.PluginSpec" in asked(
        node, "POST /services/x/update", {"TaskTemplate": {"PluginSpec": {"Remote": "x"}}}
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"Driver": "bridge"}, ""),
        ({"IPAM": {"Config": [{"Subnet": "172.31.9.0/24"}]}}, ""),
        ({"IPAM": {"Config": [{"Subnet": "fd00:9::/64"}]}}, ""),
        ({"IPAM": {"Config": [{"Subnet": "203.0.113.0/24"}]}}, "is not private"),
        ({"IPAM": {"Config": [{"Subnet": "169.254.0.0/16"}]}}, "overlaps with 169.254.0.0/16"),
        ({"IPAM": {"Config": [{"Subnet": "0.0.0.0/1"}]}}, "is not private"),
        ({"IPAM": {"Config": [{"Subnet": "x"}]}}, "is not a subnet"),
        ({"IPAM": {"Driver": "null"}}, "addresses of driver null"),
        ({"Driver": "macvlan"}, "driver macvlan"),
        ({"Driver": "ipvlan", "Options": {"parent": "eth0"}}, "the interface eth0"),
        ({"Options": {"com.docker.network.bridge.name": "lo"}}, "the interface lo of the node"),
        ({"Options": {"com.docker.network.bridge.name": "br-mine"}}, ""),
        ({"Options": {"com.docker.network.bridge.name": "wg0"}}, "the interface wg0 of the node"),
        ({"Options": {"com.docker.network.driver.mtu": "1400", "encrypted": ""}}, ""),
        (
            {"Options": {"com.docker.network.bridge.default_bridge": "true"}},
            "option com.docker.net",
        ),
        (
            {"IPAM": {"Config": [{"Subnet": "10.128.0.0/9"}]}},
            "10.128.0.0/9, which is larger than /16",
        ),
        ({"ConfigFrom": {"Network": "x"}, "Driver": "bridge"}, ""),
    ],
)
def test_a_network_takes_nobodys_addresses(node: Judged, body: dict[str, Any], why: str) -> None:
    said = asked(node, "POST /networks/create", {"Name": "n", **body})

    assert why in said
    assert bool(why) is bool(said)


def test_the_proof_that_runs_has_a_permit(node: Judged) -> None:
    secret = "s" * 48
    node.permit("runc")
    path = node.permits / "door"
    path.write_text(secret)
    path.chmod(0o600)

    def bind_with(given: str) -> str:
        body = {"HostConfig": {"Binds": ["/etc:/x"]}}
        header = {"X-Pyinfra-Gvisor-Permit": given}
        return asked(node, "POST /containers/create", body, header)

    assert bind_with(secret) == ""
    assert bind_with("") != ""
    assert bind_with("s") != ""
    path.chmod(0o644)
    assert bind_with(secret) != ""
    path.chmod(0o600)
    node.proof.close()
    assert bind_with(secret) != ""


def has_place_of_runc(node: Judged, *, text: str = "#!/bin/sh\nretired=''\n") -> Path:
    """Have our program in the place of runc, and return that place."""
    place, directory = node.root / "sbin-runc", node.root / "divert"
    directory.mkdir()
    for path in (place, directory / "program"):
        path.write_text(text)
    (directory / "places").write_text(f"{place}\n")
    return place


@pytest.mark.parametrize("other", ["runc", "retired", "nothing"])
def test_while_runc_is_not_ours_who_asks_for_it_is_refused(node: Judged, other: str) -> None:
    wrapper = node.wrapper["gvisordefault"]
    wrapper.write_text(wrapper.read_text().replace('"format":1', '"format":1,"takes_runc":true'))
    if other == "runc":
        has_place_of_runc(node).write_text("runc itself")
    elif other == "retired":
        has_place_of_runc(node, text="#!/bin/sh\nretired=yes\n")

    assert "does not use gVisor" in created(node, {"Runtime": "runc"})


@pytest.mark.parametrize(
    ("runtime", "is_taken"),
    [
        ("runc", True),
        ("io.containerd.runc.v2", True),
        ("x.runc.v2", True),
        ("/srv/mine/containerd-shim-runc-v2", False),
        ("../containerd-shim-runc-v2", False),
        ("crun", False),
    ],
)
def test_where_runc_is_ours_who_asks_for_it_is_judged_like_who_asks_for_nothing(
    node: Judged, runtime: str, is_taken: bool
) -> None:
    wrapper = node.wrapper["gvisordefault"]
    wrapper.write_text(wrapper.read_text().replace('"format":1', '"format":1,"takes_runc":true'))
    has_place_of_runc(node)

    plain = created(node, {"Runtime": runtime})
    bound = created(node, {"Runtime": runtime, "Binds": ["/etc:/x"]})

    assert ("does not use gVisor" in plain) is ("does not use gVisor" in bound) is not is_taken
    assert ("mount of /etc" in bound) is is_taken


def test_without_a_default_runtime_nothing_is_made(node: Judged) -> None:
    (node.root / "daemon.json").write_text("{}")

    assert "has no runtime gvisordefault" in created(node)


def test_what_fails_is_refused(node: Judged) -> None:
    (node.root / "daemon.json").write_text("{")
    assert "is not complete" in created(node)

    (node.root / "daemon.json").unlink()
    (node.root / "daemon.json").mkdir()
    assert "cannot read" in created(node)


def test_a_dockerd_without_its_volumes_is_refused(node: Judged) -> None:
    (node.root / "proc" / str(DOCKER) / "fd" / "7").unlink()

    assert "metadata.db" in created(node)


def test_logs_go_where_daemon_json_says_with_the_options_that_it_has(node: Judged) -> None:
    path = node.root / "daemon.json"
    own = {"log-driver": "syslog", "log-opts": {"syslog-address": "udp://10.0.0.1:514"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    other = {"syslog-address": "tcp://169.254.169.254:80"}

    assert created(node, {"LogConfig": {"Type": "", "Config": {}}}) == ""
    assert "log driver syslog" in created(node, {"LogConfig": {"Type": "", "Config": other}})


def test_with_volumes_of_the_network_a_plugin_is_called_by_a_plain_name(tmp_path: Path) -> None:
    seal = Seal(network_volumes="allow", reason="our own storage plugin")
    node = has_docker(Judged(tmp_path, seal))

    driver = {"VolumeDriver": "vieux/sshfs:latest"}
    assert created(node, {"Binds": ["data:/x:nocopy"], **driver}) == ""
    assert "add the volume option nocopy" in created(node, {"Binds": ["data:/x"], **driver})
    assert "volume driver" in created(node, {"VolumeDriver": "../x"})
    assert "volume driver" in created(node, {"VolumeDriver": "/x"})
