"""Containers in an audit: what each was given, what it is, and what the policy says to that."""

from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.audit.annotation_rules import ANNOTATIONS, known
from pyinfra_gvisor.audit.capability_rules import DEFAULT_CAPABILITIES
from pyinfra_gvisor.audit.security_rules import MASKED
from pyinfra_gvisor.policy.findings import Finding, Severity
from tests.arguments import Data
from tests.cases.proven import RELEASE, proven_answer
from tests.table import table
from tests.unit.answers import UNIT_FLAGS, compact, program_sha256
from tests.unit.audit.audited import BARE, COOLIFY, app, audited, found, ids, waived, with_container

LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
ANNOTATED = {"dev.gvisor.flag.host-uds": "open"}
EXEMPT = [{"name": "shop", "reason": "it is our own build server"}]
GPUS = {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]]}
KEPT = "container-capabilities-kept shop"
OLD = "/usr/local/bin/runsc"
RULES = ("docker-socket", "host-path", "gvisor-path")
SOCKET, HOST, OURS = (f"container-{rule} shop" for rule in RULES)
VOLUME, ANOTHER = (f"/var/lib/docker/volumes/{name}/_data" for name in "ab")


def device(host: str, inside: str = "") -> Data:
    """A device as Docker has it, by default under its own name."""
    given = {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": "rwm"}
    return {"Devices": [given]}


def test_an_app_in_a_sandbox_has_nothing_against_it() -> None:
    report = with_container(app())

    assert (found(report), report.state, report.compliant) == ({}, "clean", True)
    (container,) = report.containers
    assert (container.must, container.sandboxed, container.asked) == (True, True, "runsc")


@table(
    "changes",
    runc=BARE,
    a_runtime_that_starts_runc={**BARE, "runtime": "runsc"},
    an_image_that_looks_like_a_sandbox={"here": False},
    the_nodes_own_runsc_in_a_container_of_runc={"runtime": "runc"},
    runsc_but_no_sandbox={"argv0": "runsc"},
    a_process_that_is_gone={"executable": "", "argv0": "", "here": False},
)
def test_an_app_that_is_not_in_a_sandbox_is_found_whatever_it_looks_like(changes: Data) -> None:
    report = with_container(app(**changes))

    finding = found(report)["container-unsandboxed shop"]
    assert finding.severity is Severity.CRITICAL
    assert not report.compliant
    assert not report.containers[0].sandboxed
    assert report.containers[0].release is None


@table(
    "given, mounts, remedy",
    an_app=({}, (), "Stop the container and recreate it with --runtime=runsc"),
    socket=({}, ("/run/docker.sock",), "The container has docker.sock, which cannot work"),
    network=({"NetworkMode": "host"}, (), "The container has the node's network, which cannot"),
)
def test_no_remedy_is_given_that_cannot_work(
    given: Data, mounts: tuple[str, ...], remedy: str
) -> None:
    report = with_container(app(given=given, mounts=mounts, **BARE))

    assert found(report)["container-unsandboxed shop"].remedy.startswith(remedy)


@pytest.mark.parametrize("kind", ["application", "service", "database"])
def test_all_that_coolify_runs_for_its_users_must_be_in_a_sandbox(kind: str) -> None:
    report = with_container(app(labels={**COOLIFY, "coolify.type": kind}, **BARE))

    assert "container-unsandboxed" in ids(report)


@table(
    "labels",
    none={},
    the_proxy={"coolify.managed": "true", "coolify.proxy": "true"},
    not_managed={"coolify.managed": "false", "coolify.type": "service"},
)
def test_what_the_policy_does_not_name_may_run_as_it_likes(labels: dict[str, str]) -> None:
    report = with_container(app(labels=labels, **BARE, mounts=("/",)))

    assert {item.severity for item in found(report).values()} == {Severity.INFO}
    assert report.state == "clean"


def test_what_asks_for_our_runtime_is_found_without_a_label_and_little_else_then() -> None:
    asking = with_container(app(labels={}, **{**BARE, "runtime": "runsc"}))
    foreign = with_container(app(labels={}, given={"CapDrop": None}))
    exempted = with_container(app(given={"CapDrop": None}), exempt=EXEMPT)

    assert list(ids(asking)) == ["container-not-as-asked"]
    assert not asking.compliant
    assert found(foreign) == found(exempted) == {}


def test_an_exemption_is_told_with_its_reason_and_one_of_another_container_is_none() -> None:
    report = with_container(app(**BARE), exempt=EXEMPT)
    of_another = with_container(app(**BARE), exempt=[{**EXEMPT[0], "name": "sho"}])

    assert waived(report)["container-exempt shop"] == "it is our own build server"
    assert (found(report), report.compliant) == ({}, True)
    assert "container-unsandboxed" in ids(of_another)


@table(
    "given, mounts, rule, cis",
    privileged=({"Privileged": True}, (), "container-privileged", "5.5"),
    network=({"NetworkMode": "host"}, (), "container-host-network", "5.10"),
    pid=({"PidMode": "host"}, (), "container-host-pid", "5.16"),
    ipc=({"IpcMode": "host"}, (), "container-host-ipc", "5.17"),
    uts=({"UTSMode": "host"}, (), "container-host-uts", "5.21"),
    userns=({"UsernsMode": "host"}, (), "container-host-userns", "5.31"),
    caps=({"CapAdd": ["CAP_SYS_ADMIN", "CHOWN"]}, (), "container-capabilities", "5.4"),
    socket=({}, ("/run/docker.sock",), "container-docker-socket", "5.32"),
    host_path=({}, ("/usr/",), "container-host-path", "5.6"),
    gvisors_files=({}, ("/opt",), "container-gvisor-path", "5.6"),
    device=(device("/dev/sda"), (), "container-device", "5.18"),
    annotation=({"Annotations": ANNOTATED}, (), "container-annotation", None),
)
def test_what_an_app_was_given_beyond_its_sandbox_is_found(
    given: Data, mounts: tuple[str, ...], rule: str, cis: str | None
) -> None:
    report = with_container(app(given=given, mounts=mounts, sha256=program_sha256(RELEASE)))

    assert {item.id: item.cis for item in found(report).values()} == {rule: cis}


@table(
    "path, severity, evidence",
    older=("20260831.0/runsc", MEDIUM, "runs on runsc 20260831.0; 20260928.0 is declared"),
    with_an_escape=("20240729.0/runsc", HIGH, "escapes: CVE-2025-2713, CVE-2026-96812"),
    foreign=("/usr/local/bin/runsc", MEDIUM, "runs from /usr/local/bin/runsc"),
)
def test_a_sandbox_of_other_releases_is_found(path: str, severity: Severity, evidence: str) -> None:
    report = with_container(app(executable=str(Path("/opt/gvisor/releases") / path)))

    finding = found(report)["container-old-release shop"]
    assert finding.severity is severity
    assert evidence in finding.evidence


def test_a_waiver_by_rule_or_by_docker_bench_id_accepts_with_its_reason() -> None:
    reason = "needed for one customer"
    for key in ("container-privileged", "5.5"):
        report = with_container(app(given={"Privileged": True}), waivers={key: reason})

        assert waived(report)["container-privileged shop"] == reason
        assert report.compliant


def test_a_container_that_vanished_before_it_could_be_asked_is_judged_by_what_is_known() -> None:
    process, container = app().lines()

    report = audited(process, container.replace('"Given"', '"Other"'))

    assert found(report) == {}
    assert report.containers[0].must is False


def option(text: str) -> Data:
    """A container with this ``--security-opt``."""
    return {"SecurityOpt": [text]}


@table(
    "rule, given, said, sandboxed, bare",
    a_disk=("device", device("/dev/sda"), "/dev/sda", MEDIUM, HIGH),
    harmless=("device", device("/dev/null"), "null", LOW, LOW),
    the_sentry_has_its=("device", device("/dev/net/tun"), "tun", LOW, HIGH),
    another_name=("device", device("/dev/sda", "/dev/null"), "null", MEDIUM, HIGH),
    the_hosts_driver=("device", device("/dev/vfio/7"), "7", HIGH, HIGH),
    runsc_goes_by_the_name=("device", device("/dev/x", "/dev/accel0"), "x", HIGH, HIGH),
    a_rule=("device", {"DeviceCgroupRules": ["c 1:* rwm"]}, "c 1", LOW, HIGH),
    gpus=("gpu", {"DeviceRequests": [GPUS]}, "gpu: all", HIGH, HIGH),
    seccomp=("seccomp", option("seccomp=unconfined"), "seccomp", LOW, HIGH),
    long_ago=("seccomp", option("seccomp:unconfined"), "seccomp", LOW, HIGH),
    own_profile=("seccomp", option('seccomp={"a":'), "seccomp", LOW, HIGH),
    apparmor=("apparmor", option("apparmor=unconfined"), "un", LOW, MEDIUM),
    selinux=("selinux", option("label=disable"), "label=", LOW, MEDIUM),
    as_docker_adds_it=("selinux", option("disable"), "label=", LOW, MEDIUM),
    nnp=("new-privileges", option("no-new-privileges=false"), "false", LOW, MEDIUM),
    cgroups=("writable-cgroups", option("writable-cgroups=true"), "true", LOW, MEDIUM),
    unknown=("security-option", option("new=off"), "new", MEDIUM, MEDIUM),
    unmasked=("system-paths", {"MaskedPaths": []}, "/proc/acpi, /proc/kcore", LOW, HIGH),
    writable=("system-paths", {"ReadonlyPaths": ["/proc/bus"]}, "/proc/irq", LOW, HIGH),
    root=("capabilities", {"CapAdd": ["CAP_SYS_ADMIN"]}, "added: SYS", MEDIUM, HIGH),
    less=("capabilities", {"CapAdd": ["sys_nice"]}, "SYS_NICE", MEDIUM, MEDIUM),
    all=("capabilities", {"CapAdd": ["all"]}, "added: ALL", MEDIUM, HIGH),
)
def test_what_a_container_was_given_is_as_bad_as_what_it_opens_there(
    rule: str, given: Data, said: str, sandboxed: Severity, bare: Severity
) -> None:
    inside, outside = (found(with_container(app(given=given, **at))) for at in ({}, BARE))

    assert {item.id: item.severity for item in inside.values()} == {f"container-{rule}": sandboxed}
    assert outside[f"container-{rule} shop"].severity is bare
    assert said in outside[f"container-{rule} shop"].evidence


@table(
    "given",
    own={"NetworkMode": "bridge", "PidMode": "", "IpcMode": "private"},
    one_of_dockers_own_capabilities={"CapAdd": ["NET_BIND_SERVICE"]},
    some_back={"CapDrop": ["all"], "CapAdd": ["CHOWN", "CAP_SETUID"]},
    each_by_its_name={"CapDrop": sorted(DEFAULT_CAPABILITIES)},
    all_asked_for={"CapDrop": [], "CapAdd": sorted(DEFAULT_CAPABILITIES)},
    somebody_elses_annotation={"Annotations": {"com.example": "x"}},
    stricter=option("no-new-privileges"),
    stricter_as_a_value=option("no-new-privileges:true"),
    dockers_own=option("seccomp=builtin"),
    what_docker_adds={**option("disable"), "PidMode": "host"},
    null={"SecurityOpt": None, "MaskedPaths": None, "Devices": None, "CapAdd": None},
    dockers_list={"MaskedPaths": [*sorted(MASKED), "/proc/interrupts"]},
)
def test_what_is_no_weaker_than_dockers_own_is_no_finding(given: Data) -> None:
    assert set(ids(with_container(app(given=given)))) <= {"container-host-pid"}


@table("runtime", flag={"flags": ["--oci-seccomp"]}, strict={"hardening": "strict"})
def test_a_profile_that_a_sandbox_keeps_is_missed_more(runtime: Data) -> None:
    given = {"SecurityOpt": ["seccomp=unconfined"]}

    report = with_container(app(given=given), runtimes={"runsc": runtime})

    assert found(report)["container-seccomp shop"].severity is MEDIUM


@table(
    "name, severity",
    rootfs=("dev.gvisor.spec.rootfs.source", CRITICAL),
    mount=("dev.gvisor.spec.mount.x.share", MEDIUM),
    gpu=("dev.gvisor.internal.nvproxy", HIGH),
    checkpoint=("dev.gvisor.internal.checkpoint.path", HIGH),
    cpu=("dev.gvisor.internal.cpufeatures", LOW),
    harmless=("dev.gvisor.flag.debug", LOW),
    unknown=("dev.gvisor.brand-new", HIGH),
    only_begins_like_it=("dev.gvisorish", HIGH),
    cri=("io.kubernetes.cri.container-type", HIGH),
    cri_o=("io.kubernetes.cri-o.SandboxID", HIGH),
    a_name=("io.kubernetes.cri.sandbox-name", LOW),
)
def test_every_annotation_that_runsc_may_obey_is_judged(name: str, severity: Severity) -> None:
    report = with_container(app(given={"Annotations": {name: "true"}}))

    finding = found(report)["container-annotation shop"]
    assert (finding.severity, name in finding.evidence) == (severity, True)


def test_the_worst_of_several_annotations_counts_and_all_are_named() -> None:
    given = {"dev.gvisor.flag.debug": "true", "dev.gvisor.internal.tpuproxy": "true"}

    finding = found(with_container(app(given={"Annotations": given})))["container-annotation shop"]
    assert finding.severity is HIGH
    assert all(name in finding.evidence for name in given)


@table("row", {row.name: row for row in ANNOTATIONS})
def test_no_annotation_is_hidden_by_an_earlier_row(row: Any) -> None:
    assert known(row.name + ("x" if row.name[-1] in ".-" else "")).what == row.what


@table(
    "given, dropped, kept",
    null=({"CapDrop": None}, "nothing", 14),
    some=({"CapDrop": ["NET_RAW", "CAP_MKNOD"]}, "MKNOD, NET_RAW", 12),
    one_it_had_not=({"CapDrop": ["SYS_ADMIN"], "CapAdd": ["CHOWN"]}, "SYS_ADMIN", 13),
)
def test_capabilities_that_nobody_asked_for_are_told(given: Data, dropped: str, kept: int) -> None:
    report = with_container(app(given=given))

    finding = found(report)[KEPT]
    evidence = f"dropped: {dropped}; kept by default: {kept}"
    assert (finding.severity, finding.evidence, finding.cis) == (LOW, evidence, None)
    assert report.compliant


@table(
    "given",
    privileged={"CapDrop": None, "Privileged": True},
    all_added={"CapDrop": None, "CapAdd": ["ALL"]},
)
def test_whose_capabilities_are_told_already_is_not_told_twice(given: Data) -> None:
    report = with_container(app(given=given))

    assert KEPT not in found(report)
    assert len(found(report)) == 1


def low_ports(given: Data, settings: Any = None, **changes: Any) -> Finding | None:
    """What is said of the low ports of a sandbox of an older runsc, without a capability."""
    shop = app(given={"Ports": ["80/tcp"], **given}, **{"executable": OLD, **changes})
    return found(with_container(shop, **(settings or {}))).get("container-low-port shop")


@table(
    "given, told",
    another_added=({"CapAdd": ["CHOWN"]}, "80/tcp"),
    itself_dropped=({"CapDrop": ["CAP_NET_BIND_SERVICE"]}, "80/tcp"),
    all_others_added=({"CapDrop": ["NET_BIND_SERVICE"], "CapAdd": ["ALL"]}, "80/tcp"),
    several=({"Ports": ["443/tcp", "53/udp", "8080/tcp"]}, "443/tcp, 53/udp"),
    added_back=({"CapAdd": ["CAP_NET_BIND_SERVICE"]}, None),
    all_added_back=({"CapAdd": ["ALL"]}, None),
    another_dropped=({"CapDrop": ["CHOWN"]}, None),
    privileged=({"Privileged": True}, None),
    a_higher_port=({"Ports": ["1024/tcp"]}, None),
)
def test_a_low_port_is_told_with_what_lets_it_be_bound(given: Data, told: str | None) -> None:
    finding = low_ports(given)

    assert (finding and (finding.severity, finding.evidence)) == (told and (MEDIUM, told))
    assert finding is None or "--cap-add=NET_BIND_SERVICE" in finding.remedy


def sentry(release: str) -> dict[str, str]:
    """A sandbox of this release."""
    return {"executable": f"/opt/gvisor/releases/{release}/gvisor-bin/gvisor_sentry"}


@table(
    "changes, settings, severity",
    not_known_to_bind=(sentry("20260831.0"), {}, MEDIUM),
    tried=(sentry("20260905.0"), {}, None),
    later=(sentry("20261005.0"), {}, None),
    no_sandbox=({**BARE, "runtime": "runsc"}, {}, None),
    a_runtime_that_is_not_ours=({"runtime": "theirs"}, {}, None),
    gvisors_own_network=({}, {"runtimes": {"runsc": {"network": "sandbox"}}}, None),
    what_the_policy_leaves_alone=({"labels": {}}, {}, Severity.INFO),
)
def test_a_low_port_is_told_only_where_the_hosts_kernel_decides(
    changes: Data, settings: Data, severity: Severity | None
) -> None:
    finding = low_ports({}, settings, **changes)

    assert (finding and finding.severity) is severity


@table(
    "mount, rules",
    everything=("/", {SOCKET, HOST, OURS}),
    above_daemon_json=("/etc/", {HOST, OURS}),
    daemon_json=("/etc/docker/daemon.json", {OURS}),
    wrappers=("/opt/gvisor/runtimes", {OURS}),
    a_record=("/var/lib/pyinfra-gvisor/owned.json", {OURS}),
    locks=("/run/pyinfra-gvisor", {OURS}),
    above_much=("/var", {HOST, OURS, SOCKET}),
    above_sockets=("/run", {HOST, OURS, SOCKET}),
    containerd=("/run/containerd/containerd.sock", {SOCKET}),
    plugins=("/run/docker/plugins", {SOCKET}),
    podman=("/run/podman/podman.sock", {SOCKET}),
    a_device=("/dev/sda", {HOST}),
    the_kernels_settings=("/proc/sys", {HOST}),
    units=("/run/systemd/system", {HOST}),
    keys=("/root/.ssh/authorized_keys", {HOST}),
    anothers_files=("/var/lib/docker/overlay2/x", {HOST}),
    all_volumes=("/var/lib/docker/volumes", {HOST}),
    in_anothers_volume=("/var/lib/docker/volumes/a/_data/b", {HOST}),
    usual=("/etc/localtime", set()),
    run_by_root_daily=("/etc/cron.daily/shop", {HOST}),
    programs=("/usr/local/bin", {HOST}),
    data_of_programs=("/usr/share/zoneinfo", set()),
    coolifys_keys=("/data/coolify/ssh/keys", {HOST}),
    its_own_of_coolify=("/data/coolify/applications/shop", set()),
    beside_ours=("/opt/shop", set()),
    only_begins_like_it=("/etc/docker-shop", set()),
)
def test_a_mount_of_what_is_guarded_is_found(mount: str, rules: set[str]) -> None:
    assert set(found(with_container(app(mounts=(mount,))))) == rules


@table(
    "flag, path",
    long=("--host=unix:///srv/docker.sock", "/srv/docker.sock"),
    short=("-Hunix:///srv/docker.sock", "/srv/docker.sock"),
    by_the_older_name_of_run=("unix:///var/run/second.sock", "/run/second.sock"),
)
def test_every_socket_that_dockerd_listens_at_is_guarded(flag: str, path: str) -> None:
    answer = proven_answer(flags=(*UNIT_FLAGS, flag))

    report = audited(*app(mounts=(path,)).lines(), answer=answer)

    assert set(found(report)) == {SOCKET}
    assert set(found(with_container(app(mounts=(path,))))) == set()


@table("writable, severity", written=(True, CRITICAL), read=(False, HIGH))
def test_who_may_write_what_starts_sandboxes_is_worse(writable: bool, severity: Severity) -> None:
    report = with_container(app(mounts=("/opt",), writable=writable))

    assert found(report)[OURS].severity is severity


@table(
    "places, rules",
    a_link_to_dockers_data=(["/var/lib/docker"], {HOST}),
    a_link_to_sockets=(["/run"], {HOST, OURS, SOCKET}),
    mounted_elsewhere_too=(["/opt/gvisor/runtimes", "/srv/x"], {OURS}),
    a_link_to_its_own=(["/srv/y"], set()),
)
def test_what_a_mount_is_counts_and_not_its_name(places: list[str], rules: set[str]) -> None:
    report = with_container(app(mounts=("/srv/x",), places={"/srv/x": places}))

    assert set(found(report)) == rules
    for finding in found(report).values():
        assert f"/srv/x (is {places[0]}" in finding.evidence


def test_a_guarded_path_may_itself_lie_elsewhere_and_a_volume_there_is_no_finding() -> None:
    places = compact({"/opt/gvisor": ["/data/opt/gvisor"], "/var/lib/docker": ["/data/docker"]})
    there = {VOLUME: ["/data/docker/volumes/a/_data"]}
    data, volume = app(mounts=("/data",)), app(mounts=(VOLUME,), kind="volume", places=there)

    assert set(found(audited(f"places {places}", *data.lines()))) == {HOST, OURS}
    assert found(audited(f"places {places}", *volume.lines())) == {}


@table("other, rule", a_directory_of_ours=("/opt/gvisor", OURS), a_volume=(ANOTHER, HOST))
def test_a_volume_that_is_another_ones_is_found(other: str, rule: str) -> None:
    there = {VOLUME: [other, VOLUME]}

    assert set(found(with_container(app(mounts=(VOLUME,), kind="volume", places=there)))) == {rule}


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_what_docker_has_put_there_and_what_may_only_be_read_is_no_finding(kind: str) -> None:
    sources = ("/var/lib/docker/plugins/a/propagated-mount/b", VOLUME)

    assert found(with_container(app(mounts=sources, kind=kind))) == {}
    assert found(with_container(app(mounts=("/usr/bin/env", "/lib/modules"), writable=False))) == {}


def test_a_mounted_socket_is_worse_outside_of_a_sandbox_and_the_order_of_mounts_is_none() -> None:
    bare, sandboxed = (with_container(app(**at, mounts=("/run/docker.sock",))) for at in (BARE, {}))
    one, other = (with_container(app(mounts=it)) for it in (("/usr", "/boot"), ("/boot", "/usr")))

    assert (found(bare)[SOCKET].severity, found(sandboxed)[SOCKET].severity) == (CRITICAL, HIGH)
    assert found(one)[HOST].evidence == found(other)[HOST].evidence == "mounted: /boot, /usr"
