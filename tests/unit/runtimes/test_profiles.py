"""What a runtime may be called and ask for, which flags need a reason, and how runsc reads them."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.runtimes.profiles import PANIC_VARIABLES, Runtime, check_runtime_name, risks
from pyinfra_gvisor.runtimes.reviewed import EITHER, NEVER, REVIEWED, UNREVIEWED, review
from pyinfra_gvisor.runtimes.unsafe_flags import dangers, describe, is_log_path
from tests.table import table

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
    EXPERIMENTAL-afxdp EXPERIMENTAL-xdp EXPERIMENTAL-xdp-need-wakeup TESTONLY-afs-syscall-panic
    TESTONLY-allow-packet-endpoint-write TESTONLY-autosave-image-path TESTONLY-autosave-resume
    TESTONLY-nftables TESTONLY-test-name-env TESTONLY-unsafe-nonroot
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


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_runsc_is_reviewed_and_known_by_its_type(flag: str) -> None:
    name = flag.strip("!")

    row = review(name)

    assert row.what != UNREVIEWED
    assert row.switch in ((True,) if flag.startswith("!") else (False, None))


@pytest.mark.parametrize("name", FAMILIES)
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


DANGEROUS = re.findall(
    r"\S+",
    """
    --nvproxy --nvproxy-docker --tpuproxy --rdmaproxy --rootless --iouring --profile
    --ignore-cgroups --host-fifo=open --character-device-policy=passthrough
    --allow-rootfs-tar-annotation --gofer-network-namespace=host
    --gofer-network-namespace=/run/netns/x --host-settings=adjust --host-settings=enforce
    --mount-cgroup-v2 --in-sandbox-cgroup=v2
    --sidecar-usage-policy=LEGACY_DEPRECATED_SLOW_EMBEDDED_FALLBACK
    --network-proxy-path=/run/x.sock --metric-server=:1337 --pod-init-config=/etc/x
    --shared-root=/tmp --strace --log-packets=1 --pcap-log=/var/log/p --profile-cpu=/var/log/x
    --final-metrics=x --some-flag-of-2027 --some-flag-of-2027=false --no-net-raw --Debug
    --DEBUG=true --net_raw --debug= --debug=yes --net-raw=TrUe --net-raw=true --net-raw=1
    --directfs=off --qdisc=x --dcache=1e9 --overlay-2 --character-device-policy=EMULATED-ONLY
    --sidecar-release-enforcement-policy=NEVER
    """,
)
SAFE = re.findall(
    r"\S+",
    """
    -debug --debug=T --debug-log=/var/log/gvisor/%ID%/ --debug-log= --debug-log-format=json
    --debug-command=boot,create --final-metrics-log=/var/log/gvisor/%CID% --directfs=false
    --directfs=1 --oci-seccomp --enable-core-tags --gofer-network-namespace=new --net-raw=false
    -net-raw=0 --host-fifo=none --character-device-policy=emulated-only --strace-log-size=64
    --host-settings=ignore --host-settings=check --fdlimit=1000 --dcache=-1 --gso=FALSE
    --file-access=shared --nvproxy=0 --nvproxy-docker=f --qdisc=tbf --qdisc-tbf-rate=1000000
    --EXPERIMENTAL-xdp=off --sidecar-release-enforcement-policy=ALWAYS
    --sidecar-usage-policy=STRICT --in-sandbox-cgroup=v1 --watchdog-action=panic --vfs2=true
    """,
)


@pytest.mark.parametrize("flag", DANGEROUS)
def test_what_is_dangerous_or_was_not_reviewed_needs_a_reason_that_is_repeated(flag: str) -> None:
    name = re.sub("=.*", "", flag)
    what = "a flag that was not reviewed " if "2027" in flag else ".*"

    message = refusal(flags=[flag])
    (risk,) = risks({"odd": Runtime(flags=(flag,), reason=REASON)})

    todo = 'remove these options, or add "reason": "<10 characters or more>"'
    assert re.fullmatch(rf"a reason is required for: {what}\({name}\); {todo}", message)
    assert f"({name}). Reason given: {REASON}" in risk


@pytest.mark.parametrize("flag", SAFE)
def test_what_was_reviewed_as_safe_needs_no_reason(flag: str) -> None:
    assert risks({"a": Runtime(flags=(flag,))}) == ()


@table(
    "words, names",
    the_last_one_counts=("--net-raw --net-raw=false", ""),
    with_one_dash_too=("--net-raw=0 -net-raw", "net-raw"),
    value_as_a_word=("--host-uds none", ""),
    dangerous_value_as_a_word=("--host-uds all", "host-uds"),
    a_word_that_is_another_flags_value=(
        "--ignore-cgroups --debug-log --ignore-cgroups=false",
        "ignore-cgroups debug-log",
    ),
    a_switch_takes_no_word=("--debug false", ""),
    so_this_is_on=("--net-raw false", "net-raw"),
    perhaps_a_value=("--ignore-cgroups --new --ignore-cgroups=false", "ignore-cgroups new"),
    perhaps_a_flag=("--new --net-raw", "new net-raw"),
    perhaps_two=("--new --fdlimit --net-raw", "new fdlimit net-raw"),
    takes_dockers_first_word=("--debug-log", "debug-log"),
    its_own_network=("--network=host --net-raw", "net-raw"),
    no_flags=("-- - ---x -= x ", ""),
)
def test_words_are_read_as_go_reads_them(words: str, names: str) -> None:
    assert " ".join(opened(*words.split(" "))) == names


def test_raw_sockets_are_harmless_with_the_network_that_runsc_has_by_default() -> None:
    assert describe(dangers(["--net-raw"])) == ()
    assert opened("--net-raw", network="plugin") == ("net-raw",)
    assert opened("--net-raw", network="sandbox") == opened("--net-raw", network="none") == ()


ELSEWHERE = [
    *("/etc/cron.d/x", "/var/log/../../etc/cron.d/x", "/var/log/a/../b", "/var/log", "/var/log/"),
    *("/var/logs/x", "//var/log/x", "var/log/x", "/var/log/%TEST%/x"),
]
LOGS = ["pcap-log", "trace", "profile-heap", "coverage-report", "final-metrics-log"]


@pytest.mark.parametrize(
    ("flag", "path"),
    [*(("debug-log", path) for path in ELSEWHERE), *((flag, "/etc/x") for flag in LOGS)],
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


@table(
    "name, message",
    runc=("runc", "not a valid runtime name, got runc; use at most 40 lower-case letters"),
    node=("node", "not a valid runtime name, got node; use"),
    too_long=("a" * 41, "not a valid runtime name, got aaa"),
    digit_first=("1a", "not a valid runtime name, got 1a"),
    underscore=("a_b", "not a valid runtime name, got a_b"),
    not_ascii=("é", "not a valid runtime name, got é"),
    canary=("runsccanary", "names that end in canary are reserved to try releases, got r"),
)
def test_another_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(Problem, match=f"^{message}"):
        check_runtime_name(name)


@table(
    "flag, key",
    network=("--network=none", "network"),
    one_dash=("-platform=kvm", "platform"),
    overlay=("--overlay", "overlay"),
    overlay2=("--overlay2=all:memory", "overlay"),
    host_uds=("--host-uds=all", "host_uds"),
    fsgofer_host_uds=("--fsgofer-host-uds", "host_uds"),
    panic_log=("--panic-log=/var/log/x", "panic_log"),
)
def test_a_flag_that_a_key_stands_for_is_refused_with_the_key(flag: str, key: str) -> None:
    name = flag.strip("-").partition("=")[0]

    message = refusal(flags=[flag], reason=REASON)

    assert message == f"--{name} has a key of its own, got {flag}; use the key {key}"


@pytest.mark.parametrize(
    "flag", ["--directfs=true", "--sidecar-release-enforcement-policy=IF_RELEASE_BUILD"]
)
def test_a_flag_that_hardening_sets_is_refused_beside_it(flag: str) -> None:
    assert Runtime(flags=(flag,)).flags == (flag,)
    assert refusal(hardening="strict", flags=[flag]) == (
        f'hardening "strict" sets this flag itself, got {flag}; remove the flag, or remove '
        "hardening"
    )


@table(
    "flag",
    no_dash="debug",
    three_dashes="---debug",
    dashes_alone="--",
    substitution="--x=$(id)",
    space="--x=a b",
    newline="--x=a\n",
    quote="--x='",
)
def test_what_is_no_flag_is_refused(flag: str) -> None:
    assert refusal(flags=[flag]).startswith("String should match pattern")


@pytest.mark.parametrize("name", ["", "panic.log", *PANIC_VARIABLES])
def test_a_path_below_var_log_takes_panics(name: str) -> None:
    path = f"/var/log/gvisor/{name}"

    assert Runtime(panic_log=path).panic_log == path


@table(
    "path",
    elsewhere="/etc/x",
    variable_that_runsc_does_not_know="/var/log/%ID%",
    space="/var/log/a b",
    empty="",
)
def test_another_path_for_panics_is_refused(path: str) -> None:
    assert refusal(panic_log=path) == (
        f"not a path below /var/log, got {path}; write such a path; "
        "it may contain the variables %TIMESTAMP% and %COMMAND%"
    )


@table(
    "asked, danger",
    a_flag=({"flags": ["--net-raw"]}, RAW),
    **{value: ({"host_uds": value}, UDS) for value in ("open", "create", "all")},
    allow_flag_override=(
        {"flags": ["--allow-flag-override"], "network": "sandbox"},
        "everybody who can set annotations can change the sandbox (--allow-flag-override)",
    ),
    several=({"host_uds": "open", "flags": ["--net-raw"]}, f"{UDS}; {RAW}"),
)
def test_what_is_dangerous_needs_a_reason_which_is_repeated_on_one_line(
    asked: dict[str, Any], danger: str
) -> None:
    runtimes = {"plain": Runtime(), "odd": Runtime(**asked, reason="two lines\nof a reason")}

    (risk,) = risks(runtimes)

    assert risk == f"RISK ACCEPTED: runtime odd: {danger}. Reason given: two lines of a reason"
    assert refusal(**asked) == (
        f"a reason is required for: {danger}; remove these options, or add "
        '"reason": "<10 characters or more>"'
    )


def test_a_reason_without_a_danger_is_taken_and_not_repeated() -> None:
    assert risks({"a": Runtime(reason=REASON)}) == ()


@table("reason", nine_characters="because!!", spaces=" " * 20)
def test_a_reason_says_something(reason: str) -> None:
    assert "at least 10 characters" in refusal(host_uds="all", reason=reason)


@table(
    "flags, on",
    not_given=((), False),
    given=(("--enable-core-tags",), True),
    as_go_reads_it=(("-enable-core-tags=T",), True),
    the_last_counts=(("--enable-core-tags", "--enable-core-tags=0"), False),
)
def test_whether_a_switch_is_on_is_read_as_runsc_reads_it(flags: tuple[str, ...], on: bool) -> None:
    assert Runtime(flags=flags).has_on("enable-core-tags") is on
