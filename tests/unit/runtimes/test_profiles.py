"""What a runtime may be called and ask for, which flags need a reason, and how runsc reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.runtimes.profiles import PANIC_VARIABLES, Runtime, check_runtime_name, risks
from pyinfra_gvisor.runtimes.reviewed import EITHER, NEVER, REVIEWED, UNREVIEWED, review
from pyinfra_gvisor.runtimes.unsafe_flags import dangers, describe, is_log_path

REASON = "the tenant has signed for it"
UDS = "sockets of the host that are mounted, such as docker.sock (--host-uds)"
RAW = "raw sockets of the host kernel (--net-raw)"

# All that `runsc flags` has in 20240729.0 and 20260905.0, and flags.go in the tags between them;
# "!" is in front of those that Go takes for a bool.
FLAGS = re.findall(
    r"\S+",
    """
    !alsologtostderr !allow-connected-on-save !allow-flag-override !allow-live-tcp-migration
    !allow-packet-socket-write !allow-rootfs-tar-annotation !allow-suid !app-huge-pages
    !buffer-pooling !cgroupfs character-device-policy control-rpc-stop-timeout coverage-fd
    coverage-report !cpu-num-from-quota dcache !debug debug-command debug-log debug-log-fd
    debug-log-format !debug-to-user-log !directfs !enable-core-tags fdlimit file-access
    file-access-mounts final-metrics-log !fsgofer-host-uds !fuse gofer-network-namespace
    !gso !h !gvisor-gro !gvisor-marker-file !help host-fifo host-settings host-uds
    !ignore-cgroups in-sandbox-cgroup !iouring !kvm-use-cpu-nums !lisafs log log-fd log-format
    !log-packets metric-server !mount-cgroup-v2 !net-disconnect-ok !net-raw network
    network-processors-per-channel num-network-channels !nvproxy
    !nvproxy-allow-unsupported-driver nvproxy-allowed-driver-capabilities !nvproxy-docker
    nvproxy-driver-version !oci-seccomp !overlay overlay2 override-procs panic-log
    panic-log-fd panic-signal !pause-external-networking pcap-log platform
    platform_device_path pod-init-config !profile profile-block profile-cpu
    profile-gc-interval profile-heap profile-mutex profiling-metrics profiling-metrics-log
    profiling-metrics-rate-us qdisc qdisc-tbf-burst qdisc-tbf-rate !rdmaproxy ref-leak-mode
    !reproduce-nat !reproduce-nftables restore-spec-validation root !rootless
    !rx-checksum-offload !save-restore-netstack shared-root
    sidecar-release-enforcement-policy sidecar-usage-policy !software-gso
    !strace !strace-event strace-log-size strace-syscalls !systemd-cgroup !systrap-disable-fast-path
    !systrap-disable-syscall-patching !tpuproxy trace traceback !tx-checksum-offload
    !version !vfs2 watchdog-action
    """,
)
# Several of one beginning, of several types, which one row is about.
FAMILIES = re.findall(
    r"\S+",
    """
    EXPERIMENTAL-afxdp EXPERIMENTAL-xdp EXPERIMENTAL-xdp-need-wakeup
    TESTONLY-afs-syscall-panic TESTONLY-allow-packet-endpoint-write
    TESTONLY-autosave-image-path TESTONLY-autosave-resume TESTONLY-nftables
    TESTONLY-test-name-env TESTONLY-unsafe-nonroot
    """,
)


def opened(*words: str, network: str = "host") -> tuple[str, ...]:
    """The names of the flags that open something."""
    return tuple(name for name, _ in dangers(words, network))


def refusal(**asked: Any) -> str:
    """What is said about a runtime that must be refused."""
    with pytest.raises(ValidationError) as caught:
        Runtime(**asked)
    (error,) = caught.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


@pytest.mark.parametrize("flag", [pytest.param(flag, id=flag.strip("!")) for flag in FLAGS])
def test_every_flag_of_runsc_is_reviewed_and_known_by_its_type(flag: str) -> None:
    name = flag.strip("!")

    row = review(name)

    assert row.what != UNREVIEWED
    assert row.switch in ((True,) if flag.startswith("!") else (False, None))


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in FAMILIES])
def test_experiments_and_tests_of_gvisor_are_dangerous_by_their_beginning(name: str) -> None:
    assert opened(f"--{name}") == (name,)
    assert opened(f"--{name}=false") == ()


def test_a_row_has_a_source_a_danger_and_for_every_safe_value_a_reason() -> None:
    assert all(row.source and row.what for row in REVIEWED)
    assert all(row.why for row in REVIEWED if row.safe != NEVER)
    assert all(
        row.safe in (EITHER, NEVER) or row.switch is not None or row.name.endswith("-")
        for row in REVIEWED
    )
    assert len({row.name for row in REVIEWED}) == len(REVIEWED)


@pytest.mark.parametrize(
    "flag",
    [
        "--nvproxy",
        "--nvproxy-docker",
        "--tpuproxy",
        "--rdmaproxy",
        "--rootless",
        "--iouring",
        "--profile",
        "--ignore-cgroups",
        "--host-fifo=open",
        "--character-device-policy=passthrough",
        "--allow-rootfs-tar-annotation",
        "--gofer-network-namespace=host",
        "--gofer-network-namespace=/run/netns/x",
        "--host-settings=adjust",
        "--host-settings=enforce",
        "--mount-cgroup-v2",
        "--in-sandbox-cgroup=v2",
        "--sidecar-usage-policy=LEGACY_DEPRECATED_SLOW_EMBEDDED_FALLBACK",
        "--network-proxy-path=/run/x.sock",
        "--metric-server=:1337",
        "--pod-init-config=/etc/x",
        "--shared-root=/tmp",
        "--strace",
        "--log-packets=1",
        "--pcap-log=/var/log/p",
        "--profile-cpu=/var/log/x",
        "--final-metrics=x",
        "--some-flag-of-2027",
        "--some-flag-of-2027=false",
        "--no-net-raw",
        "--Debug",
        "--DEBUG=true",
        "--net_raw",
        "--debug=",
        "--debug=yes",
        "--net-raw=TrUe",
        "--net-raw=true",
        "--net-raw=1",
        "--directfs=off",
        "--qdisc=x",
        "--dcache=1e9",
        "--overlay-2",
        "--character-device-policy=EMULATED-ONLY",
        "--sidecar-release-enforcement-policy=NEVER",
    ],
)
def test_what_is_dangerous_or_was_not_reviewed_needs_a_reason_that_is_repeated(flag: str) -> None:
    name = re.sub("=.*", "", flag)

    message = refusal(flags=[flag])
    (risk,) = risks({"odd": Runtime(flags=(flag,), reason=REASON)})

    assert message.startswith("a reason is required for: ")
    assert message.endswith(
        f'({name}); remove these options, or add "reason": "<10 characters or more>"'
    )
    assert f"({name}). Reason given: {REASON}" in risk


def test_a_flag_that_was_not_reviewed_is_told_as_that() -> None:
    assert refusal(flags=["--some-flag-of-2027"]).startswith(
        "a reason is required for: a flag that was not reviewed "
        "(--some-flag-of-2027); remove these options"
    )


@pytest.mark.parametrize(
    "flag",
    [
        "-debug",
        "--debug=T",
        "--debug-log=/var/log/gvisor/%ID%/",
        "--debug-log=",
        "--debug-log-format=json",
        "--debug-command=boot,create",
        "--final-metrics-log=/var/log/gvisor/%CID%",
        "--directfs=false",
        "--directfs=1",
        "--oci-seccomp",
        "--enable-core-tags",
        "--gofer-network-namespace=new",
        "--net-raw=false",
        "-net-raw=0",
        "--host-fifo=none",
        "--character-device-policy=emulated-only",
        "--strace-log-size=64",
        "--host-settings=ignore",
        "--host-settings=check",
        "--fdlimit=1000",
        "--dcache=-1",
        "--gso=FALSE",
        "--file-access=shared",
        "--nvproxy=0",
        "--nvproxy-docker=f",
        "--qdisc=tbf",
        "--qdisc-tbf-rate=1000000",
        "--EXPERIMENTAL-xdp=off",
        "--sidecar-release-enforcement-policy=ALWAYS",
        "--sidecar-usage-policy=STRICT",
        "--in-sandbox-cgroup=v1",
        "--watchdog-action=panic",
        "--vfs2=true",
    ],
)
def test_what_was_reviewed_as_safe_needs_no_reason(flag: str) -> None:
    assert risks({"a": Runtime(flags=(flag,))}) == ()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        pytest.param(["--net-raw", "--net-raw=false"], (), id="the-last-one-counts"),
        pytest.param(["--net-raw=0", "-net-raw"], ("net-raw",), id="with-one-dash-too"),
        pytest.param(["--host-uds", "none"], (), id="value-as-a-word"),
        pytest.param(["--host-uds", "all"], ("host-uds",), id="dangerous-value-as-a-word"),
        pytest.param(
            ["--ignore-cgroups", "--debug-log", "--ignore-cgroups=false"],
            ("ignore-cgroups", "debug-log"),
            id="a-word-that-is-another-flags-value",
        ),
        pytest.param(["--debug", "false"], (), id="a-switch-takes-no-word"),
        pytest.param(["--net-raw", "false"], ("net-raw",), id="so-this-is-on"),
        pytest.param(
            ["--ignore-cgroups", "--new", "--ignore-cgroups=false"],
            ("ignore-cgroups", "new"),
            id="perhaps-a-value",
        ),
        pytest.param(["--new", "--net-raw"], ("new", "net-raw"), id="perhaps-a-flag"),
        pytest.param(
            ["--new", "--fdlimit", "--net-raw"], ("new", "fdlimit", "net-raw"), id="perhaps-two"
        ),
        pytest.param(["--debug-log"], ("debug-log",), id="takes-dockers-first-word"),
        pytest.param(["--network=host", "--net-raw"], ("net-raw",), id="its-own-network"),
        pytest.param(["--", "-", "---x", "-=", "x", ""], (), id="no-flags"),
    ],
)
def test_words_are_read_as_go_reads_them(words: list[str], names: tuple[str, ...]) -> None:
    assert opened(*words) == names


def test_raw_sockets_are_harmless_with_the_network_that_runsc_has_by_default() -> None:
    assert describe(dangers(["--net-raw"])) == ()
    assert opened("--net-raw", network="plugin") == ("net-raw",)
    assert opened("--net-raw", network="sandbox") == opened("--net-raw", network="none") == ()


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        ("debug-log", "/etc/cron.d/x"),
        ("debug-log", "/var/log/../../etc/cron.d/x"),
        ("debug-log", "/var/log/a/../b"),
        ("debug-log", "/var/log"),
        ("debug-log", "/var/logs/x"),
        ("debug-log", "//var/log/x"),
        ("debug-log", "var/log/x"),
        ("debug-log", "/tmp/runsc/"),
        ("debug-log", "/var/log/%TEST%/x"),
        ("pcap-log", "/etc/x"),
        ("trace", "/etc/x"),
        ("profile-heap", "/etc/x"),
        ("coverage-report", "/etc/x"),
        ("final-metrics-log", "/etc/x"),
        ("profiling-metrics-log", "-"),
    ],
)
def test_a_log_elsewhere_is_refused_whatever_the_reason(flag: str, path: str) -> None:
    assert refusal(flags=[f"--{flag}={path}"], reason=REASON) == (
        f"--{flag} is not a path below /var/log, got {path}; write such a path; it may contain the "
        "variables %TIMESTAMP% and %COMMAND% and %ID% and %CID%"
    )
    assert opened(f"--{flag}={path}") == (flag,)
    assert not is_log_path(path)


@pytest.mark.parametrize("flag", ["--debug-log", "-fdlimit", "--metric-server", "--host-fifo"])
def test_a_flag_that_would_take_the_next_word_is_refused(flag: str) -> None:
    name = flag.lstrip("-")

    assert refusal(flags=[flag, "--ignore-cgroups"], reason=REASON) == (
        f"--{name} has no value, so runsc would use the next word as its value, got {flag}; "
        f"write --{name}=<value>"
    )


@pytest.mark.parametrize(
    "flag",
    [
        *("--panic-log-fd=3", "--coverage-fd=3", "--root=/x", "--log=/x"),
        *("--version", "--help", "--h"),  # which answer instead of running
    ],
)
def test_what_docker_sets_is_refused(flag: str) -> None:
    assert refusal(flags=[flag], reason=REASON) == (
        f"Docker sets {flag.partition('=')[0]} itself, got {flag}; remove this flag"
    )


@pytest.mark.parametrize("name", ["runsc", "a", "net2", "node1", "a" * 40])
def test_letters_and_digits_are_a_name(name: str) -> None:
    check_runtime_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "runc",
            "not a valid runtime name, got runc; use at most 40 lower-case letters and digits, ",
            id="runc",
        ),
        pytest.param("node", "not a valid runtime name, got node; use", id="node"),
        pytest.param("a" * 41, "not a valid runtime name, got aaa", id="too-long"),
        pytest.param("1a", "not a valid runtime name, got 1a", id="digit-first"),
        pytest.param("a_b", "not a valid runtime name, got a_b", id="underscore"),
        pytest.param("é", "not a valid runtime name, got é", id="not-ascii"),
        pytest.param(
            "runsccanary",
            "names that end in canary are reserved to try releases, got runsccanary; choose "
            "another name",
            id="canary",
        ),
        pytest.param("canary", "names that end in canary are", id="canary-alone"),
    ],
)
def test_another_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(Problem) as caught:
        check_runtime_name(name)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("dashes", [pytest.param("-", id="one-dash"), pytest.param("--", id="two")])
@pytest.mark.parametrize(
    ("flag", "key"),
    [
        pytest.param("network=none", "network", id="network"),
        pytest.param("platform=kvm", "platform", id="platform"),
        pytest.param("overlay", "overlay", id="overlay"),
        pytest.param("overlay2=all:memory", "overlay", id="overlay2"),
        pytest.param("host-uds=all", "host_uds", id="host-uds"),
        pytest.param("fsgofer-host-uds", "host_uds", id="fsgofer-host-uds"),
        pytest.param("panic-log=/var/log/x", "panic_log", id="panic-log"),
    ],
)
def test_a_flag_that_a_key_stands_for_is_refused_with_the_key(
    dashes: str, flag: str, key: str
) -> None:
    message = refusal(flags=[dashes + flag], reason=REASON)

    name = flag.split("=", maxsplit=1)[0]
    assert message == f"--{name} has a key of its own, got {dashes}{flag}; use the key {key}"


@pytest.mark.parametrize(
    "flag",
    [
        pytest.param("--directfs=true", id="the-other-way"),
        pytest.param("--oci-seccomp", id="as-it-is-anyway"),
        pytest.param("--sidecar-release-enforcement-policy=IF_RELEASE_BUILD", id="weaker"),
    ],
)
def test_a_flag_that_hardening_sets_is_refused_beside_it(flag: str) -> None:
    assert Runtime(flags=(flag,)).flags == (flag,)
    assert refusal(hardening="strict", flags=[flag]) == (
        f'hardening "strict" sets this flag itself, got {flag}; remove the flag, or remove '
        "hardening"
    )


@pytest.mark.parametrize(
    "flag",
    [
        pytest.param("debug", id="no-dash"),
        pytest.param("---debug", id="three-dashes"),
        pytest.param("--", id="dashes-alone"),
        pytest.param("--x=$(id)", id="substitution"),
        pytest.param("--x=a b", id="space"),
        pytest.param("--x=a\n", id="newline"),
        pytest.param("--x='", id="quote"),
    ],
)
def test_what_is_no_flag_is_refused(flag: str) -> None:
    assert refusal(flags=[flag]).startswith("String should match pattern")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/var/log/gvisor/panic.log", id="file"),
        pytest.param("/var/log/gvisor/", id="directory"),
        *(pytest.param(f"/var/log/g/{name}.log", id=name.strip("%")) for name in PANIC_VARIABLES),
    ],
)
def test_a_path_below_var_log_takes_panics(path: str) -> None:
    assert Runtime(panic_log=path).panic_log == path


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("panic.log", id="relative"),
        pytest.param("/var/log", id="var-log-itself"),
        pytest.param("/var/log/", id="var-log-itself-with-a-slash"),
        pytest.param("/var/log/../../etc/cron.d/x", id="upwards"),
        pytest.param("/var/log/a/../b", id="up-and-down"),
        pytest.param("/var/logs/x", id="longer-name"),
        pytest.param("/var/log/%ID%", id="variable-that-runsc-does-not-know"),
        pytest.param("/var/log/a b", id="space"),
        pytest.param("", id="empty"),
    ],
)
def test_another_path_for_panics_is_refused(path: str) -> None:
    assert refusal(panic_log=path) == (
        f"not a path below /var/log, got {path}; write such a path; "
        "it may contain the variables %TIMESTAMP% and %COMMAND%"
    )


@pytest.mark.parametrize(
    ("asked", "danger"),
    [
        pytest.param({"flags": ["--net-raw"]}, RAW, id="a-flag"),
        *(pytest.param({"host_uds": value}, UDS, id=value) for value in ("open", "create", "all")),
        pytest.param(
            {"flags": ["--allow-flag-override"], "network": "sandbox"},
            "everybody who can set annotations can change the sandbox (--allow-flag-override)",
            id="allow-flag-override",
        ),
        pytest.param(
            {"flags": ["--allow-packet-socket-write"], "network": "sandbox"},
            "forged packets in the node's network (--allow-packet-socket-write)",
            id="packet-socket-write",
        ),
    ],
)
def test_what_is_dangerous_needs_a_reason_which_is_repeated(
    asked: dict[str, Any], danger: str
) -> None:
    runtimes = {"plain": Runtime(), "odd": Runtime(**asked, reason=REASON)}

    assert risks(runtimes) == (f"RISK ACCEPTED: runtime odd: {danger}. Reason given: {REASON}",)
    assert refusal(**asked) == (
        f"a reason is required for: {danger}; remove these options, or add "
        '"reason": "<10 characters or more>"'
    )


def test_a_reason_without_a_danger_is_taken_and_not_repeated() -> None:
    assert risks({"a": Runtime(reason=REASON)}) == ()


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("", id="empty"),
        pytest.param("because!!", id="nine-characters"),
        pytest.param(" " * 20, id="spaces"),
    ],
)
def test_a_reason_says_something(reason: str) -> None:
    assert "at least 10 characters" in refusal(host_uds="all", reason=reason)


def test_several_dangers_are_told_at_once_and_a_reason_stays_on_its_line() -> None:
    asked = Runtime(host_uds="open", flags=("--net-raw",), reason="two lines\nof a reason")

    assert risks({"a": asked}) == (
        f"RISK ACCEPTED: runtime a: {UDS}; {RAW}. Reason given: two lines of a reason",
    )


@pytest.mark.parametrize(
    ("flags", "on"),
    [
        pytest.param([], False, id="not-given"),
        pytest.param(["--enable-core-tags"], True, id="given"),
        pytest.param(["-enable-core-tags=T"], True, id="as-go-reads-it"),
        pytest.param(["--enable-core-tags=false"], False, id="off"),
        pytest.param(["--enable-core-tags", "--enable-core-tags=0"], False, id="the-last-counts"),
    ],
)
def test_whether_a_switch_is_on_is_read_as_runsc_reads_it(flags: list[str], on: bool) -> None:
    assert Runtime(flags=tuple(flags)).has_on("enable-core-tags") is on
