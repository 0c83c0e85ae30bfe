"""The table of reviewed flags, and what is said of flags as runsc would read them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from pyinfra_gvisor.runtimes.profiles import Runtime, risks
from pyinfra_gvisor.runtimes.reviewed import EITHER, NEVER, REVIEWED, UNREVIEWED, review
from pyinfra_gvisor.runtimes.unsafe_flags import dangers, describe, is_log_path

REASON = "the tenant has signed for it"

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


def refusal(*flags: str, **asked: Any) -> str:
    """What is said about a runtime that must be refused."""
    with pytest.raises(ValidationError) as caught:
        Runtime(flags=flags, **asked)
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
        "--nvproxy-docker",
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

    message = refusal(flag)
    (risk,) = risks({"odd": Runtime(flags=(flag,), reason=REASON)})

    assert message.startswith("a reason is required for: ")
    assert message.endswith(
        f'({name}); remove these options, or add "reason": "<10 characters or more>"'
    )
    assert f"({name}). Reason given: {REASON}" in risk


def test_a_flag_that_was_not_reviewed_is_told_as_that() -> None:
    assert refusal("--some-flag-of-2027").startswith(
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
    assert refusal(f"--{flag}={path}", reason=REASON) == (
        f"--{flag} is not a path below /var/log, got {path}; write such a path; it may contain the "
        "variables %TIMESTAMP% and %COMMAND% and %ID% and %CID%"
    )
    assert opened(f"--{flag}={path}") == (flag,)
    assert not is_log_path(path)


@pytest.mark.parametrize("flag", ["--debug-log", "-fdlimit", "--metric-server", "--host-fifo"])
def test_a_flag_that_would_take_the_next_word_is_refused(flag: str) -> None:
    name = flag.lstrip("-")

    assert refusal(flag, "--ignore-cgroups", reason=REASON) == (
        f"--{name} has no value, so runsc would use the next word as its value, got {flag}; "
        f"write --{name}=<value>"
    )


@pytest.mark.parametrize("flag", ["--panic-log-fd=3", "--coverage-fd=3", "--root=/x", "--log=/x"])
def test_what_docker_sets_is_refused(flag: str) -> None:
    assert refusal(flag, reason=REASON) == (
        f"Docker sets {flag.partition('=')[0]} itself, got {flag}; remove this flag"
    )
