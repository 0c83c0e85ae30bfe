"""The node in an audit: releases, runtimes, the proof, daemon.json, builds, and other engines."""

from typing import Any

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.grouped import waived_in
from tests.arguments import Data
from tests.cases.proven import INSTALLED, RELEASE, proven, proven_answer
from tests.table import table
from tests.unit.answers import END, LATER_S, STARTED_S, UNIT_FLAGS, Running, answer, info, installed
from tests.unit.audit.audited import AT, audited, found, ids, waived

FILE = "/etc/docker/daemon.json"
SHIM = "/usr/bin/containerd-shim-runc-v2"
PROOF = "/var/lib/pyinfra-gvisor/proof.json"
DEBIAN = {"gvisor_release": "20240729.0", "gvisor_source": "debian"}
ACCEPTED = {"gvisor_accept_risk": "throwaway nodes"}
NET_RAW = "raw sockets of the host kernel (--net-raw)"
TAR, NULLS = "gvisor.tar.bz2", "0" * 128
PINNED = known(RELEASE, "x86_64")[TAR]
MANIFEST_HAS = "the manifest has"


def with_proof(record: Data | None) -> list[str]:
    """The answer of a node with this record of a proof."""
    given = proven()
    state = {**given["state"], "proof": record}
    if record is None:
        del state["proof"]
    return answer(**{**given, "state": state})


def test_a_node_as_declared_is_clean_with_waivers_that_say_why_and_one_of_no_rule_is_told() -> None:
    report = audited()
    mistyped = audited(settings={"gvisor_waivers": {"daemon-json-mod": "because of the old umask"}})

    assert found(report) == {}
    assert report.node.proof.holds
    assert set(waived(report)) == {
        f"docker-{name} {FILE}" for name in ("authorization", "icc", "logging", "userns")
    }
    finding = found(mistyped)["waiver-unknown gvisor_waivers['daemon-json-mod']"]
    assert "daemon-json-mode" in finding.remedy, "what may have been meant"
    assert mistyped.compliant


def test_only_what_a_setting_waives_is_counted_as_waived() -> None:
    by_rule = audited()
    declared = audited(settings={"gvisor_waivers": {"2.9": "userns-remap breaks our platform"}})

    assert (waived_in(by_rule.findings), waived_in(declared.findings)) == (0, 1)


def test_a_release_that_is_not_there_or_not_what_was_installed_is_found() -> None:
    missing = audited(answer=proven_answer(releases=()))
    damaged = audited(answer=proven_answer(releases=(), damaged=[RELEASE]))

    assert found(missing)[f"release-missing /opt/gvisor/releases/{RELEASE}"].evidence == (
        "on the node: none"
    )
    key = f"release-damaged /opt/gvisor/releases/{RELEASE}"
    assert found(damaged)[key].severity is Severity.CRITICAL
    assert f"release-missing /opt/gvisor/releases/{RELEASE}" not in found(damaged)


def release_of(sha512: dict[str, str], release: str = RELEASE) -> list[str]:
    """The answer of a node that is as declared, with a release of which these sums are recorded."""
    given = {**proven(), **({"releases": []} if release == RELEASE else {})}
    return [*answer(**given)[:-1], *installed(release, sha512=sha512), END]


@table(
    "sha512, evidence",
    another=(
        {TAR: NULLS},
        f"{TAR}: {MANIFEST_HAS} sha512 {NULLS[:12]}…, but c8d3a9fd4d4c… is pinned",
    ),
    another_at_its_end=(
        {TAR: PINNED[:100] + NULLS[100:]},
        f"{TAR}: {MANIFEST_HAS} sha512 …{NULLS[:12]}…, but …{PINNED[100:112]}… is pinned",
    ),
    none=({}, f"{MANIFEST_HAS} no sha512 of {TAR}"),
    of_another_kind=({"runsc.deb": NULLS}, f"{MANIFEST_HAS} no sha512 of {TAR}, only of runsc.deb"),
)
def test_a_release_of_files_without_pins_is_found(sha512: dict[str, str], evidence: str) -> None:
    report = audited(answer=release_of(sha512))

    finding = found(report)[f"release-unpinned /opt/gvisor/releases/{RELEASE}"]
    assert (finding.severity, finding.evidence) == (Severity.CRITICAL, evidence)
    assert not any(key.startswith("release-damaged") for key in found(report))


def test_a_release_that_is_not_declared_is_held_against_the_sums_that_this_package_knows() -> None:
    other = "20260831.0"
    key = f"release-unpinned /opt/gvisor/releases/{other}"

    foreign = audited(answer=release_of({"gvisor.tar.bz2": "0" * 128}, other))
    right = audited(answer=release_of(dict(known(other, "x86_64")), other))
    by_apt = audited(answer=release_of({"runsc.deb": "0" * 128}, other))
    debians = audited(*installed("20240729.0", sha512={}), settings={**DEBIAN, **ACCEPTED})

    assert key in found(foreign)
    assert key not in found(right)
    assert key not in found(by_apt)
    assert "release-unpinned" not in ids(debians), "it has no sum and needs none"


BINARY, OURS = "/usr/bin/runsc", "/opt/gvisor/runtimes/old-20260831.0-0a1b2c3d"
START = 'exec /opt/gvisor/releases/20260831.0/runsc --network=host --overlay2=none {} "$@"'
ROOTLESS = "a sandbox with the privileges of the user who starts it (--rootless)"
BY_SHIM = {"runtimeType": "io.containerd.runsc.v1"}
NVIDIA = (
    "NVIDIA's hook runs as root on the node for containers (--nvproxy-docker); sockets of the host"
    " that are mounted, such as docker.sock (--host-uds)"
)


def registered(
    path: str, *arguments: str, flags: str = "", start: str = START, **settings: Any
) -> list[Finding]:
    """What is found of a runtime beside the declared one, and of our wrapper with these flags."""
    docker = proven()["docker"]
    entry = {"path": path, "runtimeArgs": list(arguments)} if path else BY_SHIM
    given = {**docker, "Runtimes": {**docker["Runtimes"], "old": entry}}
    starts = f"starts {OURS} {start.format(flags)}"
    report = audited(starts, answer=proven_answer(docker=given), settings=settings)
    return [item for item in found(report).values() if item.id == "runtime-dangerous"]


@table(
    "path, arguments, start, why",
    arguments=(BINARY, "--network=host --net-raw", START, NET_RAW),
    two_words=(BINARY, "--debug-log /a", START, "a file outside of /var/log (--debug-log)"),
    not_reviewed=(BINARY, "--of-2027", START, "a flag that was not reviewed (--of-2027)"),
    a_wrapper=(OURS, "", START.format("--nvproxy-docker --host-uds=all"), NVIDIA),
    a_wrapper_with_arguments=(OURS, "--rootless", START, ROOTLESS),
    reviewed_arguments=(BINARY, "--platform=systrap --debug=false", START, None),
    ours=(OURS, "", START.format("--panic-log=/var/log/g/%COMMAND%"), None),
    no_runsc=("/usr/bin/crun", "--of-crun", START, None),
    no_wrapper_of_ours=(OURS, "", "exec 'never closed", None),
    a_shim=("", "", START, None),
)
def test_a_registered_runtime_with_dangerous_flags_is_found_and_another_is_not(
    path: str, arguments: str, start: str, why: str | None
) -> None:
    told = registered(path, *arguments.split(), start=start)

    dangerous = [("runtime old", Severity.HIGH, f"{path}: {why}")]
    expected = dangerous if why else []
    assert [(item.subject, item.severity, item.evidence) for item in told] == expected


def test_what_the_operator_gave_a_reason_for_is_not_found_in_the_wrapper_from_before() -> None:
    asked = {"network": "host", "flags": ["--net-raw"], "reason": "our own ping monitors"}
    given = {"gvisor_runtimes": {"runsc": {}, "old": asked}}

    accepted = registered(OURS, flags="--net-raw", **given)
    more = registered(OURS, flags="--net-raw --rootless", **given)

    assert (accepted, [item.evidence for item in more]) == ([], [f"{OURS}: {ROOTLESS}"])


def test_a_changed_wrapper_is_found_and_a_release_with_an_escape_unless_it_was_accepted() -> None:
    ((path, _),) = INSTALLED["wrappers"].items()

    changed = audited(answer=proven_answer(wrappers={path: "0" * 64}))
    refused, accepted = audited(settings=DEBIAN), audited(settings={**DEBIAN, **ACCEPTED})

    assert found(changed)[f"wrapper-changed {path}"].severity is Severity.CRITICAL
    assert "release-escape runsc 20240729.0" in found(refused)
    assert waived(accepted)["release-escape runsc 20240729.0"] == "throwaway nodes"


@table(
    "runtimes, evidence",
    gone=({}, "not registered in dockerd"),
    runc=({"runsc": {"path": "/usr/bin/runc"}}, "starts /usr/bin/runc,"),
    arguments=({"runsc": {"path": "/x", "runtimeArgs": ["--y"]}}, "starts /x --y,"),
)
def test_a_runtime_that_is_not_the_declared_one_is_found(runtimes: Data, evidence: str) -> None:
    report = audited(answer=proven_answer(docker=info(runtimes=runtimes, live_restore=True)))

    finding = found(report)["runtime-not-declared runtime runsc"]
    assert finding.evidence.startswith(evidence)
    assert f"daemon-json-not-in-force {FILE}" in found(report)


@table(
    "record, rule",
    none=(None, "proof-missing"),
    failed=({"failed": ["exec"], "at": AT}, "proof-failed"),
    another_state=({"fingerprint": "another", "at": AT}, "proof-stale"),
    empty=({}, "proof-stale"),
    damaged=({"at": "x", "checks": "y", "release": 7}, "proof-stale"),
)
def test_a_node_that_is_not_proven_as_it_is_now_is_found(record: Data | None, rule: str) -> None:
    report = audited(answer=with_proof(record))

    assert set(found(report)) == {f"{rule} {PROOF}"}
    assert not report.node.proof.holds


@table("age_s, is_found", young=(59, False), old=(60, True))
def test_a_sandbox_without_a_container_is_found_after_its_start(age_s: int, is_found: bool) -> None:
    report = audited(f"sandbox 4712 {age_s} /opt/gvisor/releases/x/runsc\t{'ab' * 32}")

    assert ("sandbox-leaked process 4712" in found(report)) is is_found


def test_a_node_without_docker_is_one_finding_and_one_without_gvisor_its_daemon_json() -> None:
    down = audited(answer=answer(without=("info",), docker_error="no answer within 20 s"))
    plain = audited(settings={"gvisor_runtimes": {}}, answer=answer())

    assert list(ids(down)) == ["docker-down"]
    assert found(down)["docker-down dockerd"].evidence == "no answer within 20 s"
    assert not [id_ for id_ in ids(plain) if id_.startswith(("release", "proof", "runtime"))]
    assert f"daemon-json-not-declared {FILE}" in found(plain)


def edited(text: str) -> Data:
    """A node as declared whose file was then written by somebody else."""
    return {"answer": proven_answer(daemon_json=text, mtime_s=LATER_S + 60)}


@table(
    "old, new, rule, evidence",
    a_key=("false", "true", "not-declared", "changed by somebody else: /userland-proxy"),
    what_dockerd_would_not_start_with=("{", "{,", "unusable", "line 1"),
)
def test_what_others_changed_is_told_with_its_place(
    old: str, new: str, rule: str, evidence: str
) -> None:
    report = audited(**edited(proven()["daemon_json"].replace(old, new, 1)))

    assert evidence in found(report)[f"daemon-json-{rule} {FILE}"].evidence


@table(
    "lines, is_found",
    never_read=((), True),
    read_before=((f"reload_event {LATER_S}.0",), True),
    read_since=((f"reload_event {LATER_S + 61}.5",), False),
    read_as_the_journal_says=((f"reload_log {LATER_S + 61}.5",), False),
    the_later=((f"reload_event {LATER_S}.0", f"reload_log {LATER_S + 61}.5"), False),
)
def test_a_key_of_others_that_dockerd_has_not_read_is_found(
    lines: tuple[str, ...], is_found: bool
) -> None:
    report = audited(*lines, **edited(proven()["daemon_json"].replace("{", '{"debug": true,', 1)))

    key = f"daemon-json-unread {FILE}"
    assert (key in found(report)) is is_found
    if is_found:
        assert found(report)[key].evidence == "not loaded by dockerd: debug"


@table(
    "told, rule",
    an_interrupted_change=(proven_answer(pending="yes"), "daemon-json-interrupted"),
    # what dockerd has is in the file, but it was proven with another file
    written_again=(edited(proven()["daemon_json"] + "\n")["answer"], "proof-stale"),
)
def test_what_hides_other_things_is_one_finding(told: list[str], rule: str) -> None:
    assert list(ids(audited(answer=told))) == [rule]


def test_an_owed_restart_is_told_and_that_nothing_is_known_of_what_dockerd_read() -> None:
    given = proven()
    state = {name: value for name, value in given["state"].items() if name != "applied"}
    text = given["daemon_json"].replace("{", '{"log-level": "warn",', 1)

    unknown = audited(answer=answer(**{**given, "state": state, "mtime_s": STARTED_S + 60}))
    owing = audited(
        f"reload_event {LATER_S + 61}.0", settings={"gvisor_restart": "reload"}, **edited(text)
    )

    assert found(unknown)[f"daemon-json-unread {FILE}"].severity is Severity.MEDIUM
    assert "/log-level" in found(owing)[f"restart-owed {FILE}"].evidence


@table(
    "runtime, severity",
    unknown=("net", Severity.MEDIUM),
    in_other_case=("Runsc", Severity.MEDIUM),
    registered=("runsc", None),
    runc=("runc", None),
    none=("", None),
    a_shim=("io.containerd.runc.v2", None),
)
def test_a_stopped_container_whose_runtime_is_not_registered_is_found(
    runtime: str, severity: Severity | None
) -> None:
    finding = found(audited(f'idle ["/shop",false,"{runtime}"]')).get("runtime-unregistered shop")
    assert (finding.severity if finding else None) is severity
    if finding:
        assert finding.evidence == (
            f"runtime {runtime} is not registered in dockerd; the container is stopped"
        )


def test_a_running_container_without_its_runtime_is_worse_and_untold_ones_are_said() -> None:
    running = found(audited(*Running("shop", runtime="net").lines()))["runtime-unregistered shop"]
    untold = found(audited("idle_error no answer within 10 s"))["runtime-users-unknown containers"]

    assert running.severity is Severity.HIGH
    assert running.evidence.endswith("; the container runs now")
    assert (untold.severity, untold.evidence) == (Severity.LOW, "no answer within 10 s")


def test_a_runtime_that_is_kept_for_a_container_is_no_pending_change() -> None:
    idle = 'idle ["/shop",false,"runsc"]'
    none, keep = {"gvisor_runtimes": {}}, {"gvisor_keep_running": True}

    refused = found(audited(idle, settings=none))
    kept = found(audited(idle, settings={**none, **keep}))

    assert "these need it to start: shop (stopped)" in (
        refused["daemon-json-unusable /etc/docker/daemon.json"].evidence
    )
    assert [key for key in kept if key.startswith("daemon-json")] == []


def flagged(*more: str) -> HostReport:
    """The report on a node as declared but for dockerd's arguments."""
    return audited(answer=proven_answer(flags=(*UNIT_FLAGS, *more)))


@table(
    "arguments, cis, is_found",
    iptables=("--iptables=false", "2.4", True),
    insecure_registry=("--insecure-registry=10.0.0.0/8", "2.5", True),
    tcp=("--host=tcp://0.0.0.0:2375", "2.7", True),
    tcp_with_certificates=("--host=tcp://0.0.0.0:2376 --tlsverify", "2.7", False),
    no_new_privileges=("--no-new-privileges=false", "2.14", True),
    userland_proxy=("--userland-proxy=true", "2.16", True),
)
def test_a_flag_that_weakens_dockerd_is_found(arguments: str, cis: str, is_found: bool) -> None:
    assert (cis in {item.cis for item in found(flagged(*arguments.split())).values()}) is is_found


@table(
    "argument, key",
    icc=("--icc=false", "docker-icc"),
    userns=("--userns-remap=default", "docker-userns"),
    authorization=("--authorization-plugin=x", "docker-authorization"),
)
def test_what_is_waived_and_yet_done_is_not_told(argument: str, key: str) -> None:
    assert f"{key} {FILE}" in waived(audited())
    assert f"{key} {FILE}" not in waived(flagged(argument))


@table(
    "changes, rule, is_found",
    live_restore=({"LiveRestoreEnabled": False}, "docker-live-restore", True),
    seccomp=({"SecurityOptions": ["name=apparmor"]}, "docker-seccomp", True),
    docker_19_03=({"ServerVersion": "19.03.15"}, "docker-old", True),
    docker_20_10=({"ServerVersion": "20.10.24+dfsg1"}, "docker-old", False),
)
def test_what_the_live_daemon_shows_counts(changes: Data, rule: str, is_found: bool) -> None:
    docker = {**proven()["docker"], **changes}

    assert (rule in ids(audited(answer=proven_answer(docker=docker)))) is is_found


@table(
    "line, check",
    directory_owner=("file 755 root:docker /etc/docker", "3.5"),
    directory_mode=("file 775 root:root /etc/docker", "3.6"),
    directory_more_closed=("file 700 root:root /etc/docker", None),
    socket_owner=("file 660 root:users /run/docker.sock", "3.15"),
    socket_mode=("file 666 root:docker /run/docker.sock", "3.16"),
    socket_more_closed=("file 600 root:docker /run/docker.sock", None),
    file_owner=(f"file 644 app:root {FILE}", "3.17"),
    file_mode=(f"file 664 root:root {FILE}", "3.18"),
    file_more_closed=(f"file 600 root:root {FILE}", None),
    others=("file 757 root:root /opt/gvisor/releases", "gvisor-writable"),
    group=("file 775 root:root /opt/gvisor/runtimes/x", "gvisor-writable"),
    owner=("file 755 app:root /var/lib/pyinfra-gvisor", "gvisor-writable"),
    ours=("file 755 root:root /opt/gvisor/runtimes", None),
)
def test_a_file_that_is_open_to_others_is_found(line: str, check: str | None) -> None:
    about = {item.cis or item.id: item.subject for item in found(audited(line)).values()}

    assert about == ({check: line.rsplit(maxsplit=1)[-1]} if check else {})


def test_a_key_that_the_operator_gave_up_is_found_until_it_is_waived() -> None:
    given = {"gvisor_daemon_json": {"userland-proxy": None}}
    text = proven()["daemon_json"].replace('"userland-proxy": false,\n', "")
    state = proven()["state"]
    del state["owned"]["paths"]["/userland-proxy"]
    del state["applied"]["started_with"]["userland-proxy"]
    answer = proven_answer(daemon_json=text, state=state)

    refused = audited(settings=given, answer=answer)
    accepted = audited(
        settings={**given, "gvisor_waivers": {"2.16": "an old kernel needs it"}}, answer=answer
    )

    remedy = found(refused)[f"docker-userland-proxy {FILE}"].remedy
    assert remedy.startswith("Remove userland-proxy from gvisor_daemon_json")
    assert waived(accepted)[f"docker-userland-proxy {FILE}"] == "an old kernel needs it"


def test_a_key_that_nobody_declared_is_not_to_be_removed_from_the_settings() -> None:
    finding = found(flagged("--userland-proxy=true"))[f"docker-userland-proxy {FILE}"]

    assert finding.remedy == "Run pyinfra-gvisor apply"


def shim(pid: int, namespace: str = "k8s.io", identity: str = "web") -> str:
    """What the script tells of a shim of containerd's."""
    where = "/run/k3s/containerd/containerd.sock"
    told = ("containerd-shim-runc-v2", str(pid), "0", SHIM, namespace, identity, where)
    return "engine " + "\t".join(told)


def test_containers_of_another_engine_are_one_finding_each_namespace() -> None:
    report = audited(*(shim(pid, identity=f"web-{pid}") for pid in range(7)), shim(9, "other"))

    at = "at /run/k3s/containerd/containerd.sock"
    many = found(report)[f"container-unowned namespace k8s.io {at}"]
    assert many.severity is Severity.HIGH
    assert "containerd-shim-runc-v2 0: web-0" in many.evidence
    assert many.evidence.endswith("and 4 more")
    assert f"container-unowned namespace other {at}" in found(report)
    assert not report.compliant


def test_podmans_containers_and_an_engine_and_a_socket_without_any_are_found() -> None:
    report = audited(
        "engine conmon\t12\t1000\t/usr/bin/conmon\t\tabc\t",
        "engine dockerd\t12\t1000\t/usr/bin/dockerd\t\t\tunix:///run/two.sock",
        "engine socket\t0\t0\t/run/podman/podman.sock\t\t\t/run/podman/podman.sock",
    )

    assert found(report)["container-unowned conmon of user 1000"].evidence == "conmon 12: abc"
    engine = found(report)["engine-unknown dockerd 12"]
    assert engine.severity is Severity.MEDIUM
    assert engine.evidence == "/usr/bin/dockerd, user 1000, listens on unix:///run/two.sock"
    assert "engine-unknown /run/podman/podman.sock" in found(report)
