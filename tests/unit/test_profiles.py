"""What a runtime may be called and may ask for, and what of it needs a reason."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.runtimes.profiles import PANIC_VARIABLES, Runtime, check_runtime_name, risks

REASON = "the tenant has signed for it"
UDS = "sockets of the host that are mounted, such as docker.sock (--host-uds)"
RAW = "raw sockets of the host kernel (--net-raw)"
TESTONLY = "a flag for gVisor's own tests, which may switch isolation off"


def refusal(**asked: Any) -> str:
    """What is said about a runtime that must be refused."""
    with pytest.raises(ValidationError) as caught:
        Runtime(**asked)
    (error,) = caught.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name) for name in ("runsc", "a", "net2", "node1", "a" * 40)]
)
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


@pytest.mark.parametrize("flag", [pytest.param(f"--{n}", id=n) for n in ("version", "help", "h")])
def test_a_flag_that_answers_instead_of_running_is_refused(flag: str) -> None:
    assert refusal(flags=[flag]) == f"Docker sets {flag} itself, got {flag}; remove this flag"


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


DANGEROUS = [
    pytest.param({"flags": ["--net-raw"]}, RAW, id="net-raw"),
    pytest.param({"flags": ["-net-raw"]}, RAW, id="net-raw-with-one-dash"),
    pytest.param({"flags": ["--net-raw=true"]}, RAW, id="net-raw-true"),
    pytest.param({"flags": ["--net-raw=1"]}, RAW, id="net-raw-1"),
    pytest.param({"flags": ["--net-raw=0", "--net-raw=T"]}, RAW, id="the-last-counts"),
    pytest.param({"host_uds": "open"}, UDS, id="host-uds-open"),
    pytest.param({"host_uds": "create"}, UDS, id="host-uds-create"),
    pytest.param({"host_uds": "all"}, UDS, id="host-uds-all"),
    pytest.param(
        {"flags": ["--allow-flag-override"], "network": "sandbox"},
        "everybody who can set annotations can change the sandbox (--allow-flag-override)",
        id="allow-flag-override",
    ),
    pytest.param(
        {"flags": ["--TESTONLY-unsafe-nonroot"]},
        f"{TESTONLY} (--TESTONLY-unsafe-nonroot)",
        id="unsafe-nonroot",
    ),
    pytest.param(
        {"flags": ["--TESTONLY-test-name-env=X"]},
        f"{TESTONLY} (--TESTONLY-test-name-env)",
        id="another-for-tests",
    ),
    pytest.param(
        {"flags": ["--ignore-cgroups"]},
        "no limit on memory, processors and processes (--ignore-cgroups)",
        id="ignore-cgroups",
    ),
    pytest.param(
        {"flags": ["--allow-packet-socket-write"], "network": "sandbox"},
        "forged packets in the node's network (--allow-packet-socket-write)",
        id="packet-socket-write",
    ),
    pytest.param(
        {"flags": ["--host-fifo=open"]},
        "named pipes of the host that are mounted (--host-fifo)",
        id="host-fifo",
    ),
    pytest.param(
        {"flags": ["--character-device-policy=passthrough"]},
        "device nodes of an image, opened on the host (--character-device-policy)",
        id="device-policy",
    ),
    pytest.param(
        {"flags": ["--rootless"]},
        "a sandbox with the privileges of the user who starts it (--rootless)",
        id="rootless",
    ),
    pytest.param(
        {"flags": ["--profile"]},
        "a less strict seccomp filter around the sandbox (--profile)",
        id="profile",
    ),
    pytest.param(
        {"flags": ["--iouring"]},
        "io_uring, which gVisor has only for tests (--iouring)",
        id="iouring",
    ),
    pytest.param(
        {"flags": ["--EXPERIMENTAL-xdp=redirect:eth0"]},
        "network devices of the node (--EXPERIMENTAL-xdp)",
        id="xdp",
    ),
    pytest.param(
        {"flags": ["--nvproxy"]},
        "containers reach the host's GPU driver (--nvproxy)",
        id="nvproxy",
    ),
    pytest.param(
        {"flags": ["--tpuproxy"]},
        "containers reach the host's TPU driver (--tpuproxy)",
        id="tpuproxy",
    ),
    pytest.param(
        {"flags": ["--rdmaproxy"]},
        "containers reach the host's RDMA driver (--rdmaproxy)",
        id="rdmaproxy",
    ),
]


@pytest.mark.parametrize(("asked", "danger"), DANGEROUS)
def test_what_is_dangerous_is_refused_with_the_danger_and_the_way_out(
    asked: dict[str, Any], danger: str
) -> None:
    assert refusal(**asked) == (
        f"a reason is required for: {danger}; remove these options, or add "
        '"reason": "<10 characters or more>"'
    )


@pytest.mark.parametrize(("asked", "danger"), DANGEROUS)
def test_what_is_dangerous_is_taken_with_a_reason_which_is_repeated(
    asked: dict[str, Any], danger: str
) -> None:
    runtimes = {"plain": Runtime(), "odd": Runtime(**asked, reason=REASON)}

    assert risks(runtimes) == (f"RISK ACCEPTED: runtime odd: {danger}. Reason given: {REASON}",)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"flags": ["--net-raw=false"]}, id="net-raw-off"),
        pytest.param({"flags": ["-net-raw=0"]}, id="net-raw-off-with-one-dash"),
        pytest.param({"flags": ["--net-raw", "--net-raw=F"]}, id="switched-off-again"),
        pytest.param({"flags": ["--net-raw"], "network": "sandbox"}, id="raw-in-gvisors-own-stack"),
        pytest.param({"flags": ["--net-raw"], "network": "none"}, id="raw-without-network"),
        pytest.param({"flags": ["--host-fifo=none"]}, id="no-host-fifo"),
        pytest.param({"flags": ["--character-device-policy=emulated-only"]}, id="no-devices"),
        pytest.param({"flags": ["--directfs=false", "--oci-seccomp"]}, id="stricter"),
        pytest.param({"flags": ["--debug", "--debug-log=/var/log/g/%ID%/"]}, id="logs"),
        pytest.param({"flags": ["--strace-log-size=64"]}, id="like-a-dangerous-one"),
    ],
)
def test_what_is_not_dangerous_needs_no_reason(asked: dict[str, Any]) -> None:
    assert risks({"a": Runtime(**asked)}) == ()


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
