"""Containers in an audit: what each was given, what it is, and what the policy says to that."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.audit.annotation_rules import ANNOTATIONS, known
from pyinfra_gvisor.audit.capability_rules import DEFAULT_CAPABILITIES
from pyinfra_gvisor.audit.security_rules import MASKED
from pyinfra_gvisor.policy.findings import Severity
from tests.cases.proven import RELEASE, proven_answer
from tests.unit.answers import UNIT_FLAGS, compact, program_sha256
from tests.unit.audit.audited import BARE, COOLIFY, app, audited, found, ids, waived, with_container

LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
ANNOTATED = {"dev.gvisor.flag.host-uds": "open"}
EXEMPT = [{"name": "shop", "reason": "it is our own build server"}]


def device(host: str, inside: str = "") -> dict[str, Any]:
    """A device as Docker has it, by default under its own name."""
    given = {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": "rwm"}
    return {"Devices": [given]}


def test_an_app_in_a_sandbox_has_nothing_against_it() -> None:
    report = with_container(app())

    assert found(report) == {}
    assert (report.state, report.compliant) == ("clean", True)
    (container,) = report.containers
    assert (container.must, container.sandboxed, container.asked) == (True, True, "runsc")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(BARE, id="runc"),
        pytest.param({**BARE, "runtime": "runsc"}, id="a-runtime-that-starts-runc"),
        pytest.param({"here": False}, id="an-image-that-looks-like-a-sandbox"),
        pytest.param({"runtime": "runc"}, id="the-node's-own-runsc-in-a-container-of-runc"),
        pytest.param({"argv0": "runsc"}, id="runsc-but-no-sandbox"),
        pytest.param({"executable": "", "argv0": "", "here": False}, id="a-process-that-is-gone"),
    ],
)
def test_an_app_that_is_not_in_a_sandbox_is_found_whatever_it_looks_like(
    changes: dict[str, Any],
) -> None:
    report = with_container(app(**changes))

    finding = found(report)["container-unsandboxed shop"]
    assert finding.severity is Severity.CRITICAL
    assert not report.compliant
    assert not report.containers[0].sandboxed
    assert report.containers[0].release is None


@pytest.mark.parametrize("kind", ["application", "service", "database"])
def test_all_that_coolify_runs_for_its_users_must_be_in_a_sandbox(kind: str) -> None:
    report = with_container(app(labels={**COOLIFY, "coolify.type": kind}, **BARE))

    assert "container-unsandboxed" in ids(report)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({}, id="none"),
        pytest.param({"coolify.managed": "true", "coolify.proxy": "true"}, id="the-proxy"),
        pytest.param({"coolify.managed": "false", "coolify.type": "service"}, id="not-managed"),
    ],
)
def test_what_the_policy_does_not_name_may_run_as_it_likes(labels: dict[str, str]) -> None:
    report = with_container(app(labels=labels, **BARE, mounts=("/",)))

    assert {item.severity for item in found(report).values()} == {Severity.INFO}
    assert report.state == "clean"


def test_what_asks_for_our_runtime_and_is_not_in_a_sandbox_is_found_without_any_label() -> None:
    report = with_container(app(labels={}, **{**BARE, "runtime": "runsc"}))

    assert list(ids(report)) == ["container-not-as-asked"]
    assert not report.compliant


def test_an_exemption_is_told_with_its_reason_and_fails_nothing() -> None:
    report = with_container(app(**BARE), exempt=EXEMPT)

    assert waived(report)["container-exempt shop"] == "it is our own build server"
    assert found(report) == {}
    assert report.compliant


def test_an_exemption_of_another_container_is_none() -> None:
    report = with_container(app(**BARE), exempt=[{**EXEMPT[0], "name": "sho"}])

    assert "container-unsandboxed" in ids(report)


@pytest.mark.parametrize(
    ("given", "mounts", "rule", "cis"),
    [
        pytest.param({"Privileged": True}, (), "container-privileged", "5.5", id="privileged"),
        pytest.param({"NetworkMode": "host"}, (), "container-host-network", "5.10", id="network"),
        pytest.param({"PidMode": "host"}, (), "container-host-pid", "5.16", id="pid"),
        pytest.param({"IpcMode": "host"}, (), "container-host-ipc", "5.17", id="ipc"),
        pytest.param({"UTSMode": "host"}, (), "container-host-uts", "5.21", id="uts"),
        pytest.param({"UsernsMode": "host"}, (), "container-host-userns", "5.31", id="userns"),
        pytest.param(
            {"CapAdd": ["CAP_SYS_ADMIN", "CHOWN"]}, (), "container-capabilities", "5.4", id="caps"
        ),
        pytest.param({}, ("/run/docker.sock",), "container-docker-socket", "5.32", id="socket"),
        pytest.param({}, ("/usr/",), "container-host-path", "5.6", id="host-path"),
        pytest.param({}, ("/opt",), "container-gvisor-path", "5.6", id="gvisor's-files"),
        pytest.param(device("/dev/sda"), (), "container-device", "5.18", id="device"),
        pytest.param({"Annotations": ANNOTATED}, (), "container-annotation", None, id="annotation"),
    ],
)
def test_what_an_app_was_given_beyond_its_sandbox_is_found(
    given: dict[str, Any], mounts: tuple[str, ...], rule: str, cis: str | None
) -> None:
    report = with_container(app(given=given, mounts=mounts, sha256=program_sha256(RELEASE)))

    assert {item.id: item.cis for item in found(report).values()} == {rule: cis}


def test_a_docker_socket_outside_of_a_sandbox_is_worse() -> None:
    bare = with_container(app(**BARE, mounts=("/run/docker.sock",)))
    sandboxed = with_container(app(mounts=("/run/docker.sock",)))

    key = "container-docker-socket shop"
    assert found(bare)[key].severity is Severity.CRITICAL
    assert found(sandboxed)[key].severity is Severity.HIGH


@pytest.mark.parametrize(
    ("path", "severity", "evidence"),
    [
        pytest.param(
            "/opt/gvisor/releases/20260831.0/runsc",
            Severity.MEDIUM,
            "runs on runsc 20260831.0; 20260928.0 is declared",
            id="older",
        ),
        pytest.param(
            "/opt/gvisor/releases/20240729.0/runsc",
            Severity.HIGH,
            "known escapes: CVE-2025-2713, CVE-2026-96812",
            id="with-an-escape",
        ),
        pytest.param(
            "/usr/local/bin/runsc", Severity.MEDIUM, "runs from /usr/local/bin/runsc", id="foreign"
        ),
    ],
)
def test_a_sandbox_of_another_release_is_found(
    path: str, severity: Severity, evidence: str
) -> None:
    report = with_container(app(executable=path))

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
    bare = container.replace('"Given"', '"Other"')

    report = audited(process, bare)

    assert found(report) == {}
    assert report.containers[0].must is False


def option(text: str) -> dict[str, Any]:
    """A container with this ``--security-opt``."""
    return {"SecurityOpt": [text]}


GPUS = {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]]}


@pytest.mark.parametrize(
    ("rule", "given", "said", "sandboxed", "bare"),
    [
        pytest.param("device", device("/dev/sda"), "/dev/sda", MEDIUM, HIGH, id="a-disk"),
        pytest.param("device", device("/dev/null"), "null", LOW, LOW, id="harmless"),
        pytest.param("device", device("/dev/net/tun"), "tun", LOW, HIGH, id="the-sentry-has-its"),
        pytest.param(
            "device", device("/dev/sda", "/dev/null"), "null", MEDIUM, HIGH, id="another-name"
        ),
        pytest.param("device", device("/dev/vfio/7"), "7", HIGH, HIGH, id="the-host's-driver"),
        pytest.param(
            "device", device("/dev/x", "/dev/accel0"), "x", HIGH, HIGH, id="runsc-goes-by-the-name"
        ),
        pytest.param("device", {"DeviceCgroupRules": ["c 1:* rwm"]}, "c 1", LOW, HIGH, id="a-rule"),
        pytest.param("gpu", {"DeviceRequests": [GPUS]}, "gpu: all", HIGH, HIGH, id="gpus"),
        pytest.param("seccomp", option("seccomp=unconfined"), "seccomp", LOW, HIGH, id="seccomp"),
        pytest.param("seccomp", option("seccomp:unconfined"), "seccomp", LOW, HIGH, id="long-ago"),
        pytest.param("seccomp", option('seccomp={"a":'), "seccomp", LOW, HIGH, id="own-profile"),
        pytest.param("apparmor", option("apparmor=unconfined"), "un", LOW, MEDIUM, id="apparmor"),
        pytest.param("selinux", option("label=disable"), "label=", LOW, MEDIUM, id="selinux"),
        pytest.param("selinux", option("disable"), "label=", LOW, MEDIUM, id="as-docker-adds-it"),
        pytest.param(
            "new-privileges", option("no-new-privileges=false"), "false", LOW, MEDIUM, id="nnp"
        ),
        pytest.param(
            "writable-cgroups", option("writable-cgroups=true"), "true", LOW, MEDIUM, id="cgroups"
        ),
        pytest.param("security-option", option("new=off"), "new", MEDIUM, MEDIUM, id="unknown"),
        pytest.param(
            "system-paths", {"MaskedPaths": []}, "/proc/acpi, /proc/kcore", LOW, HIGH, id="unmasked"
        ),
        pytest.param(
            "system-paths", {"ReadonlyPaths": ["/proc/bus"]}, "/proc/irq", LOW, HIGH, id="writable"
        ),
        pytest.param(
            "capabilities", {"CapAdd": ["CAP_SYS_ADMIN"]}, "added: SYS", MEDIUM, HIGH, id="root"
        ),
        pytest.param(
            "capabilities", {"CapAdd": ["sys_nice"]}, "SYS_NICE", MEDIUM, MEDIUM, id="less"
        ),
        pytest.param("capabilities", {"CapAdd": ["all"]}, "added: ALL", MEDIUM, HIGH, id="all"),
    ],
)
def test_what_a_container_was_given_is_as_bad_as_what_it_opens_there(
    rule: str, given: dict[str, Any], said: str, sandboxed: Severity, bare: Severity
) -> None:
    inside, outside = (found(with_container(app(given=given, **at))) for at in ({}, BARE))

    assert {item.id: item.severity for item in inside.values()} == {f"container-{rule}": sandboxed}
    assert outside[f"container-{rule} shop"].severity is bare
    assert said in outside[f"container-{rule} shop"].evidence


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"NetworkMode": "bridge", "PidMode": "", "IpcMode": "private"}, id="own"),
        pytest.param({"CapAdd": ["NET_BIND_SERVICE"]}, id="one-of-docker's-own-capabilities"),
        pytest.param({"CapDrop": ["all"], "CapAdd": ["CHOWN", "CAP_SETUID"]}, id="some-back"),
        pytest.param({"CapDrop": sorted(DEFAULT_CAPABILITIES)}, id="each-by-its-name"),
        pytest.param({"CapDrop": [], "CapAdd": sorted(DEFAULT_CAPABILITIES)}, id="all-asked-for"),
        pytest.param({"Annotations": {"com.example": "x"}}, id="somebody-else's-annotation"),
        pytest.param(option("no-new-privileges"), id="stricter"),
        pytest.param(option("no-new-privileges:true"), id="stricter-as-a-value"),
        pytest.param(option("seccomp=builtin"), id="docker's-own"),
        pytest.param({**option("disable"), "PidMode": "host"}, id="what-docker-adds"),
        pytest.param(
            {"SecurityOpt": None, "MaskedPaths": None, "Devices": None, "CapAdd": None}, id="null"
        ),
        pytest.param({"MaskedPaths": [*sorted(MASKED), "/proc/interrupts"]}, id="docker's-list"),
    ],
)
def test_what_is_no_weaker_than_dockers_own_is_no_finding(given: dict[str, Any]) -> None:
    assert set(ids(with_container(app(given=given)))) <= {"container-host-pid"}


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param({"flags": ["--oci-seccomp"]}, id="flag"),
        pytest.param({"hardening": "strict"}, id="strict"),
    ],
)
def test_a_profile_that_a_sandbox_keeps_is_missed_more(runtime: dict[str, Any]) -> None:
    given = {"SecurityOpt": ["seccomp=unconfined"]}

    report = with_container(app(given=given), runtimes={"runsc": runtime})

    assert found(report)["container-seccomp shop"].severity is MEDIUM


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        pytest.param("dev.gvisor.spec.rootfs.source", CRITICAL, id="rootfs"),
        pytest.param("dev.gvisor.spec.mount.x.share", MEDIUM, id="mount"),
        pytest.param("dev.gvisor.internal.nvproxy", HIGH, id="gpu"),
        pytest.param("dev.gvisor.internal.checkpoint.path", HIGH, id="checkpoint"),
        pytest.param("dev.gvisor.internal.cpufeatures", LOW, id="cpu"),
        pytest.param("dev.gvisor.brand-new", HIGH, id="unknown"),
        pytest.param("dev.gvisorish", HIGH, id="only-begins-like-it"),
        pytest.param("io.kubernetes.cri.container-type", HIGH, id="cri"),
        pytest.param("io.kubernetes.cri-o.SandboxID", HIGH, id="cri-o"),
        pytest.param("io.kubernetes.cri.sandbox-name", LOW, id="a-name"),
    ],
)
def test_every_annotation_that_runsc_may_obey_is_judged(name: str, severity: Severity) -> None:
    report = with_container(app(given={"Annotations": {name: "x"}}))

    finding = found(report)["container-annotation shop"]
    assert (finding.severity, name in finding.evidence) == (severity, True)


def test_a_harmless_annotation_is_told_and_fails_nothing() -> None:
    report = with_container(app(given={"Annotations": {"dev.gvisor.flag.debug": "true"}}))

    assert found(report)["container-annotation shop"].severity is LOW


def test_the_worst_of_several_annotations_counts_and_all_are_named() -> None:
    given = {"dev.gvisor.flag.debug": "true", "dev.gvisor.internal.tpuproxy": "true"}
    report = with_container(app(given={"Annotations": given}))

    finding = found(report)["container-annotation shop"]
    assert finding.severity is HIGH
    assert all(name in finding.evidence for name in given)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ANNOTATIONS])
def test_no_annotation_is_hidden_by_an_earlier_row(row: Any) -> None:
    name = row.name + ("x" if row.name[-1] in ".-" else "")

    assert known(name).what == row.what


KEPT, LOW_PORT = "container-capabilities-kept shop", "container-low-port shop"
OLD = "/usr/local/bin/runsc"


@pytest.mark.parametrize(
    ("given", "evidence"),
    [
        pytest.param({"CapDrop": None}, "dropped: nothing; kept by default: 14", id="null"),
        pytest.param({"CapDrop": []}, "dropped: nothing; kept by default: 14", id="nothing"),
        pytest.param(
            {"CapDrop": ["NET_RAW", "CAP_MKNOD"]},
            "dropped: MKNOD, NET_RAW; kept by default: 12",
            id="some",
        ),
        pytest.param(
            {"CapDrop": ["SYS_ADMIN"], "CapAdd": ["CHOWN"]},
            "dropped: SYS_ADMIN; kept by default: 13",
            id="one-it-had-not",
        ),
    ],
)
def test_capabilities_that_nobody_asked_for_are_told(given: dict[str, Any], evidence: str) -> None:
    report = with_container(app(given=given))

    finding = found(report)[KEPT]
    assert (finding.severity, finding.evidence, finding.cis) == (Severity.LOW, evidence, None)
    assert report.compliant


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"CapDrop": None, "Privileged": True}, id="privileged"),
        pytest.param({"CapDrop": None, "CapAdd": ["ALL"]}, id="all-added"),
    ],
)
def test_whose_capabilities_are_told_already_is_not_told_twice(given: dict[str, Any]) -> None:
    report = with_container(app(given=given))

    assert KEPT not in found(report)
    assert len(found(report)) == 1


def test_what_the_policy_leaves_alone_may_keep_what_docker_gives() -> None:
    foreign = with_container(app(labels={}, given={"CapDrop": None}))
    exempted = with_container(app(given={"CapDrop": None}), exempt=EXEMPT)

    assert found(foreign) == found(exempted) == {}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"CapDrop": ["ALL"]}, id="all-dropped"),
        pytest.param({"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}, id="another-added"),
        pytest.param({"CapDrop": ["CAP_NET_BIND_SERVICE"]}, id="itself-dropped"),
        pytest.param({"CapDrop": ["NET_BIND_SERVICE"], "CapAdd": ["ALL"]}, id="all-others-added"),
    ],
)
def test_a_low_port_without_its_capability_is_told_in_a_sandbox(given: dict[str, Any]) -> None:
    ports = ["443/tcp", "53/udp", "8080/tcp"]

    report = with_container(app(given={**given, "Ports": ports}, executable=OLD))

    finding = found(report)[LOW_PORT]
    assert (finding.severity, finding.evidence) == (Severity.MEDIUM, "443/tcp, 53/udp")
    assert "--cap-add=NET_BIND_SERVICE" in finding.remedy


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"CapDrop": ["ALL"], "CapAdd": ["CAP_NET_BIND_SERVICE"]}, id="added-back"),
        pytest.param({"CapDrop": ["ALL"], "CapAdd": ["ALL"]}, id="all-added-back"),
        pytest.param({"CapDrop": ["CHOWN"]}, id="another-dropped"),
        pytest.param({"CapDrop": ["ALL"], "Privileged": True}, id="privileged"),
        pytest.param({"CapDrop": ["ALL"], "Ports": ["1024/tcp"]}, id="a-higher-port"),
        pytest.param({"CapDrop": ["ALL"], "Ports": []}, id="no-port"),
    ],
)
def test_a_port_that_can_be_bound_is_not_told(given: dict[str, Any]) -> None:
    report = with_container(app(given={"Ports": ["80/tcp"], **given}, executable=OLD))

    assert LOW_PORT not in found(report)


@pytest.mark.parametrize(
    ("release", "told"),
    [
        pytest.param("20260831.0", True, id="not-known"),
        pytest.param("20260905.0", False, id="tried"),
        pytest.param("20261005.0", False, id="later"),
    ],
)
def test_a_runsc_that_lets_everybody_bind_every_port_is_no_reason(release: str, told: bool) -> None:
    sentry = f"/opt/gvisor/releases/{release}/gvisor-bin/gvisor_sentry"
    given = {"CapDrop": ["ALL"], "Ports": ["80/tcp"]}

    report = with_container(app(given=given, executable=sentry))

    assert (LOW_PORT in found(report)) is told


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        pytest.param(BARE, {}, id="runc-lets-everybody-bind"),
        pytest.param({"runtime": "theirs"}, {}, id="a-runtime-that-is-not-ours"),
        pytest.param(
            {},
            {"runtimes": {"runsc": {"network": "sandbox"}}, "waivers": {}},
            id="gvisor's-own-network-asks-for-nothing",
        ),
    ],
)
def test_a_low_port_is_told_only_where_the_hosts_kernel_decides(
    changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    report = with_container(
        app(given={"Ports": ["80/tcp"]}, **{"executable": OLD, **changes}), **settings
    )

    assert "container-low-port" not in ids(report)


def test_a_low_port_of_what_the_policy_leaves_alone_is_only_noted() -> None:
    report = with_container(app(labels={}, given={"Ports": ["80/tcp"]}, executable=OLD))

    assert found(report)[LOW_PORT].severity is Severity.INFO


SOCKET, HOST, OURS = (
    "container-docker-socket shop",
    "container-host-path shop",
    "container-gvisor-path shop",
)


@pytest.mark.parametrize(
    ("mount", "rules"),
    [
        pytest.param("/", {SOCKET, HOST, OURS}, id="everything"),
        pytest.param("/etc/", {HOST, OURS}, id="above-daemon.json"),
        pytest.param("/etc/docker/daemon.json", {OURS}, id="daemon.json"),
        pytest.param("/opt/gvisor/runtimes", {OURS}, id="wrappers"),
        pytest.param("/var/lib/pyinfra-gvisor/owned.json", {OURS}, id="a-record"),
        pytest.param("/run/pyinfra-gvisor", {OURS}, id="locks"),
        pytest.param("/var", {HOST, OURS, SOCKET}, id="above-much"),
        pytest.param("/run", {HOST, OURS, SOCKET}, id="above-sockets"),
        pytest.param("/run/containerd/containerd.sock", {SOCKET}, id="containerd"),
        pytest.param("/run/docker/plugins", {SOCKET}, id="plugins"),
        pytest.param("/run/podman/podman.sock", {SOCKET}, id="podman"),
        pytest.param("/dev/sda", {HOST}, id="a-device"),
        pytest.param("/proc/sys", {HOST}, id="the-kernel's-settings"),
        pytest.param("/run/systemd/system", {HOST}, id="units"),
        pytest.param("/root/.ssh/authorized_keys", {HOST}, id="keys"),
        pytest.param("/var/lib/docker/overlay2/x", {HOST}, id="another's-files"),
        pytest.param("/var/lib/docker/volumes", {HOST}, id="all-volumes"),
        pytest.param("/var/lib/docker/volumes/a/_data/b", {HOST}, id="in-another's-volume"),
        pytest.param("/etc/localtime", set(), id="usual"),
        pytest.param("/etc/cron.daily/shop", {HOST}, id="run-by-root-daily"),
        pytest.param("/usr/local/bin", {HOST}, id="programs"),
        pytest.param("/usr/share/zoneinfo", set(), id="data-of-programs"),
        pytest.param("/data/coolify/ssh/keys", {HOST}, id="coolify's-keys"),
        pytest.param("/data/coolify/applications/shop", set(), id="its-own-of-coolify"),
        pytest.param("/opt/shop", set(), id="beside-ours"),
        pytest.param("/etc/docker-shop", set(), id="only-begins-like-it"),
    ],
)
def test_a_mount_of_what_is_guarded_is_found(mount: str, rules: set[str]) -> None:
    report = with_container(app(mounts=(mount,)))

    assert set(found(report)) == rules


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("unix:///srv/docker.sock", id="elsewhere"),
        pytest.param("unix:///var/run/second.sock", id="by-the-older-name-of-run"),
    ],
)
@pytest.mark.parametrize("flag", ["--host=", "-H", ""], ids=["long", "short", "a-word-of-its-own"])
def test_every_socket_that_dockerd_listens_at_is_guarded(flag: str, address: str) -> None:
    path = address.removeprefix("unix://").replace("/var/run/", "/run/")
    answer = proven_answer(flags=(*UNIT_FLAGS, f"{flag}{address}"))

    report = audited(*app(mounts=(path,)).lines(), answer=answer)

    assert set(found(report)) == {SOCKET}
    assert set(found(with_container(app(mounts=(path,))))) == set()


@pytest.mark.parametrize(
    ("writable", "severity"),
    [
        pytest.param(True, Severity.CRITICAL, id="written"),
        pytest.param(False, Severity.HIGH, id="read"),
    ],
)
def test_who_may_write_what_starts_sandboxes_is_worse(writable: bool, severity: Severity) -> None:
    report = with_container(app(mounts=("/opt",), writable=writable))

    assert found(report)[OURS].severity is severity


@pytest.mark.parametrize(
    ("places", "rules"),
    [
        pytest.param(["/var/lib/docker"], {HOST}, id="a-link-to-docker's-data"),
        pytest.param(["/run"], {HOST, OURS, SOCKET}, id="a-link-to-sockets"),
        pytest.param(["/opt/gvisor/runtimes", "/srv/x"], {OURS}, id="mounted-elsewhere-too"),
        pytest.param(["/srv/y"], set(), id="a-link-to-its-own"),
    ],
)
def test_what_a_mount_is_counts_and_not_its_name(places: list[str], rules: set[str]) -> None:
    report = with_container(app(mounts=("/srv/x",), places={"/srv/x": places}))

    assert set(found(report)) == rules
    for finding in found(report).values():
        assert f"/srv/x (is {places[0]}" in finding.evidence


def test_a_guarded_path_may_itself_lie_elsewhere() -> None:
    places = compact({"/opt/gvisor": ["/data/opt/gvisor"], "/var/lib/docker": ["/data/docker"]})
    process, container = app(mounts=("/data",)).lines()

    report = audited(f"places {places}", process, container)

    assert set(found(report)) == {HOST, OURS}


def test_a_volume_in_a_data_directory_that_is_a_link_is_no_finding() -> None:
    source = "/var/lib/docker/volumes/a/_data"
    places = compact({"/var/lib/docker": ["/data/docker"]})
    there = {source: ["/data/docker/volumes/a/_data"]}
    process, container = app(mounts=(source,), kind="volume", places=there).lines()

    report = audited(f"places {places}", process, container)

    assert found(report) == {}


def test_a_volume_that_another_directory_is_mounted_at_is_that_directory() -> None:
    source = "/var/lib/docker/volumes/a/_data"
    there = {source: ["/opt/gvisor", source]}
    report = with_container(app(mounts=(source,), kind="volume", places=there))

    assert set(found(report)) == {OURS}


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_what_docker_itself_has_put_there_is_no_finding(kind: str) -> None:
    sources = ("/var/lib/docker/plugins/a/propagated-mount/b", "/var/lib/docker/volumes/a/_data")

    assert found(with_container(app(mounts=sources, kind=kind))) == {}


def test_a_volume_that_is_another_ones_is_found() -> None:
    source, other = (f"/var/lib/docker/volumes/{name}/_data" for name in "ab")

    report = with_container(app(mounts=(source,), kind="volume", places={source: [other, source]}))

    assert set(found(report)) == {HOST}


def test_programs_that_may_only_be_read_are_no_finding() -> None:
    assert found(with_container(app(mounts=("/usr/bin/env", "/lib/modules"), writable=False))) == {}


def test_the_order_in_which_docker_has_mounts_makes_no_difference() -> None:
    one = with_container(app(mounts=("/usr", "/boot")))
    other = with_container(app(mounts=("/boot", "/usr")))

    assert found(one)[HOST].evidence == found(other)[HOST].evidence == "mounted: /boot, /usr"
