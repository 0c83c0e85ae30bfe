"""Why a run cannot begin: what the node or the controller lacks, said before any change."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from pyinfra_gvisor.node import DAEMON_JSON
from pyinfra_gvisor.planning.controller import release_problem, report_problem
from pyinfra_gvisor.planning.image import image_problem
from pyinfra_gvisor.planning.preflight import (
    RULES,
    accepted_risks,
    preflight,
    refusals,
)
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.releases import local
from pyinfra_gvisor.settings import Settings
from tests.arguments import Patch
from tests.cases.proven import PROFILES, RELEASE, converged, proven
from tests.table import table
from tests.unit.answers import Running, node
from tests.unit.node_script import Machine
from tests.unit.settings.loaded_settings import good
from tests.unit.shells import stub

OLD: dict[str, Any] = {"gvisor_release": "20240729.0", "gvisor_source": "debian"}
KNOWN = "CVE-2025-2713, CVE-2026-96812"
REASON = "throwaway nodes of a lab"
ACCEPTED = {**OLD, "gvisor_accept_risk": REASON}
DOWN = ("info", "dockerd", "clock")
NO_DOCKER = (*DOWN, "docker_client")
settings_of = good  # tests of the parts have it from here


def problems_of(data: dict[str, Any] | None = None, **given: Any) -> list[str]:
    """What is said about a node with these settings."""
    return [str(problem) for problem in preflight(node(**given), good(**(data or {})))]


@table(
    "data, refused",
    default=({"gvisor_default": "sandbox"}, True),
    seal=({"gvisor_seal": {}}, True),
    neither=({}, False),
)
def test_wrappers_that_run_the_judge_need_its_python(data: dict[str, Any], refused: bool) -> None:
    said = (
        "gvisor_default and seals of runtimes need Python's dataclasses and json, which "
        "python3-minimal lacks, got Python 3.13; apt-get install python3"
    )

    assert problems_of(data, python="3.13") == [said] * refused
    assert problems_of(data) == []


STORE = "/opt/gvisor/releases"


@table(
    "given, message",
    architecture=({"uname": "6.12.9 riscv64"}, "gVisor does not run on this .*riscv64; use"),
    kernel=({"uname": "5.5.9 x86_64"}, "gVisor needs Linux 5.6 or later, got 5.5.9; up"),
    kernel_of_no_number=({"uname": "own x86_64"}, "gVisor needs Linux 5.6 or later, got own"),
    page_size=({"page_size": "16384"}, "gVisor needs pages of 4096 bytes, got 16384; boot "),
    user_namespaces=(
        {"max_user_namespaces": "0"},
        "user.max_user_namespaces is 0, but .*; run sysctl user.max_user_namespaces=10000$",
    ),
    noexec=(
        {"store_options": "rw,noexec,relatime"},
        f"{STORE} is on a file system that is mounted noexec, got rw,noexec,relatime; mount ",
    ),
    free_space=(
        {"store_free": "1000 4096"},
        f"{STORE} needs 768 MiB of free space for another release, got 3 MiB; free some space;",
    ),
    stray_sidecars=(
        {"stray_sidecars": "yes"},
        "/usr/local/bin/gvisor-bin exists, and .*; remove /usr/local/bin/gvisor-bin; ",
    ),
)
def test_a_machine_that_gvisor_does_not_run_on_is_refused_with_the_way_out(
    given: dict[str, str], message: str
) -> None:
    (said,) = problems_of(**given)

    assert re.match(message, said)
    assert "\n" not in said


@table(
    "given",
    plain={},
    oldest_kernel={"uname": "5.6.0 x86_64"},
    arm64={"uname": "6.1.0-40-arm64 aarch64"},
    debians_name={"uname": "6.1.0 amd64"},
    two_digit_major={"uname": "10.0.1 x86_64"},
    no_such_limit={"without": ("max_user_namespaces",)},
    one_user_namespace={"max_user_namespaces": "1"},
    installed={"store_free": "1000 4096", "releases": ["20260928.0"]},
    just_enough={"store_free": "196608 4096"},
    somebodys_runsc={"stray_sidecars": "yes", "runsc_file": "yes"},
)
def test_a_machine_that_gvisor_just_runs_on_is_fit(given: dict[str, Any]) -> None:
    assert problems_of(**given) == []


def test_every_reason_is_told_at_once_and_without_runtimes_only_docker_matters() -> None:
    found = problems_of(OLD, uname="4.19.0 armv7l", page_size="65536", max_user_namespaces="0")

    assert len(found) == 5
    assert problems_of({"gvisor_runtimes": {}, **OLD}, uname="4.19.0 armv7l") == []


@table(
    "flavour, given, message",
    there=("present", {}, None),
    missing=("present", {"without": NO_DOCKER}, "^Docker is not installed; "),
    missing_but_to_be_installed=("debian", {"without": NO_DOCKER}, None),
    missing_but_docker_ce=("docker-ce", {"without": NO_DOCKER}, None),
    down=(
        "present",
        {"without": DOWN, "docker_error": "connect: Connection refused"},
        "^dockerd does not answer, got connect: Connection refused; ",
    ),
    down_not_replaced=("debian", {"without": DOWN}, "^dockerd does not answer, got no "),
    runs_without_client=(
        "debian",
        {"without": ("info", "docker_client")},
        "^dockerd does not answer",
    ),
)
def test_docker_has_to_be_there_and_to_answer_or_to_be_installed(
    flavour: str, given: dict[str, Any], message: str | None
) -> None:
    found = problems_of({"gvisor_docker": flavour, "gvisor_runtimes": {}}, **given)

    assert [bool(re.search(message or "", text)) for text in found] == [True] * bool(message)


def test_a_release_with_a_known_escape_is_refused_with_the_floor_and_the_way_out() -> None:
    (message,) = problems_of(OLD)

    assert message == (
        "release 20240729.0 has a known escape (CVE-2025-2713, CVE-2026-96812); "
        'use 20260831.0 or later, or accept the risk: gvisor_accept_risk = "<reason>"'
    )


RISK = f"RISK ACCEPTED: runsc 20240729.0 is open to {KNOWN}. Reason given: {REASON}"


@table(
    "data, said",
    accepted=(ACCEPTED, (RISK,)),
    safe_release=({"gvisor_accept_risk": REASON}, ()),
    no_gvisor=({**ACCEPTED, "gvisor_runtimes": {}}, ()),
)
def test_a_risk_that_is_accepted_is_no_reason_to_refuse_and_is_repeated(
    data: dict[str, Any], said: tuple[str, ...]
) -> None:
    assert problems_of(data) == []
    assert accepted_risks(good(**data)) == said


def test_a_dangerous_runtime_is_repeated_with_its_reason() -> None:
    netraw = {"network": "host", "flags": ["--net-raw"], "reason": "ping monitors need it"}

    (said,) = accepted_risks(good(gvisor_runtimes={"netraw": netraw}))

    assert said.startswith("RISK ACCEPTED: runtime netraw: raw sockets of the host kernel")
    assert said.endswith("Reason given: ping monitors need it")


@table(
    "release, kernel, network, refused",
    too_old=("20240729.0", "6.11.0", "sandbox", True),
    older_kernel=("20240729.0", "6.10.9", "sandbox", False),
    first_that_works=("20240807.0", "6.18.0", "sandbox", False),
    hostinet=("20240729.0", "6.18.0", "host", False),
    no_network=("20240729.0", "6.18.0", "none", False),
)
def test_an_old_netstack_on_a_new_kernel_is_refused(
    release: str, kernel: str, network: str, refused: bool
) -> None:
    runtimes = {"runsc": {}, "net": {"network": network}}
    data = {**ACCEPTED, "gvisor_release": release, "gvisor_runtimes": runtimes}

    found = problems_of(data, uname=f"{kernel} x86_64")

    assert ["runtime net" in message for message in found] == [True] * refused


@table(
    "flag, given, refused",
    on=("--enable-core-tags", {"no_core_scheduling": "Invalid argument"}, True),
    off=("--enable-core-tags=false", {"no_core_scheduling": "No such device"}, False),
    a_kernel_that_can=("--enable-core-tags", {}, False),
)
def test_core_tags_are_refused_where_the_kernel_has_none(
    flag: str, given: dict[str, str], refused: bool
) -> None:
    data = {"gvisor_runtimes": {"runsc": {}, "tagged": {"flags": [flag]}}}

    found = problems_of(data, **given)

    assert ["of runtime tagged needs core scheduling" in text for text in found] == [True] * refused


@table(
    "data, arch, refused",
    other_arch=({"gvisor_sha512": {"x86_64": "0" * 128}}, "aarch64", True),
    this_arch=({"gvisor_sha512": {"x86_64": "0" * 128}}, "x86_64", False),
    known_to_us=({}, "aarch64", False),
)
def test_a_release_without_a_checksum_for_this_architecture_is_refused(
    data: dict[str, Any], arch: str, refused: bool
) -> None:
    found = problems_of(data, uname=f"6.12.9 {arch}")

    assert [f'gvisor_sha512 = {{"{arch}"' in message for message in found] == [True] * refused


SHIM = {"foreign_shim": "/usr/local/bin/containerd-shim-runsc-v1"}


@table(
    "given, settings, found",
    shim=(SHIM, {}, "containerd-shim-runsc-v1 (docker run --runtime io"),
    runtime=({"foreign_runsc": "old"}, {}, "runtime old (starts runsc by"),
    runtime_that_a_run_replaces=({"foreign_runsc": "runsc"}, {}, ""),
    no_default=(SHIM, {"gvisor_default": "off"}, ""),
    waived=(SHIM, {"gvisor_waivers": {"judge-bypassed": "only root uses kata here"}}, ""),
)
def test_a_default_that_containers_can_pass_by_is_refused(
    given: dict[str, str], settings: dict[str, Any], found: str
) -> None:
    said = problems_of({"gvisor_default": "sandbox", **settings}, **given)

    assert [found in line for line in said] == [True] * bool(found)


@table(
    "mounted, default, refused",
    own_host=("/data/coolify/source/.env", "sandbox", True),
    without_a_default=("/data/coolify/source/.env", "off", False),
    a_node_with_apps=("/data/coolify/proxy", "sandbox", False),
)
def test_a_default_that_the_platform_would_not_survive_is_refused(
    mounted: str, default: str, refused: bool
) -> None:
    running = [Running("coolify", 4711, mounts=(mounted,))]

    said = problems_of({"gvisor_default": default}, containers=running)

    assert ["Coolify would not start again" in line for line in said] == [True] * refused


def test_debians_small_package_needs_less_space() -> None:
    assert problems_of(ACCEPTED, store_free="40000 4096") == []
    assert len(problems_of(ACCEPTED, store_free="4000 4096")) == 1


def test_every_rule_names_where_it_is_known_from() -> None:
    assert all(rule.id and rule.what and rule.source for rule in RULES)
    assert len({rule.id for rule in RULES}) == len(RULES)


@table(
    "given, refused",
    there=({"textfile_dir": "yes"}, []),
    not_there=({"textfile_dir": "no"}, ["/srv/text is not a directory"]),
    nobody_looked=({}, []),
)
def test_metrics_need_their_directory(given: dict[str, str], refused: list[str]) -> None:
    settings = good(gvisor_textfile_dir="/srv/text", gvisor_runtimes={})

    assert [problem.what for problem in preflight(node(**given), settings)] == refused


def test_whatever_is_impossible_is_said_at_once_and_where() -> None:
    wrong = {"gvisor_watch": True, "gvisor_textfile_dir": "/srv/text", "gvisor_egress": {}}
    impossible = node(init="lab-init", textfile_dir="no", daemon_json='{"a" 1}')

    found = [(what, problem.what) for what, problem in refusals(impossible, good(**wrong), tuple)]

    assert found == [
        ("node", "/srv/text is not a directory"),
        (DAEMON_JSON, "line 1 column 6: not JSON (Expecting ':' delimiter)"),
        ("node", "the egress firewall needs systemd on the node"),
        ("node", "the watch needs systemd on the node"),
    ]


def test_a_directory_that_will_be_made_is_no_problem(tmp_path: Path) -> None:
    assert report_problem(None) is None
    assert report_problem(str(tmp_path / "made" / "later")) is None
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_reports_that_is_no_good_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").write_text("")
    file = report_problem(str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere

    problem = report_problem(str(tmp_path / "reports"))

    assert f"{tmp_path}/hosts on the controller is not a directory" in str(file)
    assert f"{tmp_path} on the controller is not writable" in str(problem)


def test_an_archive_is_read_once_for_all_hosts(tmp_path: Path, monkeypatch: Patch) -> None:
    archive = tmp_path / "gvisor.tar.bz2"
    archive.write_bytes(b"archive")
    local._sha512.cache_clear()
    digest = Mock(wraps=hashlib.file_digest)
    monkeypatch.setattr(hashlib, "file_digest", digest)
    sums = {"x86_64": hashlib.sha512(b"archive").hexdigest()}
    wanted = good(gvisor_source=str(archive), gvisor_sha512=sums)

    assert [release_problem(node(), wanted) for _ in range(3)] == [None] * 3
    digest.assert_called_once()


def test_a_release_that_is_there_needs_no_file() -> None:
    missing = good(gvisor_source="/nowhere/gvisor.tar.bz2")

    assert release_problem(node(**converged()), missing) is None
    assert release_problem(node(), missing) is not None


@table(
    "given, refused",
    never_proven=({}, True),
    never_to_be_proven=({"gvisor_proof": "never"}, False),
    no_gvisor=({"gvisor_runtimes": {}}, False),
)
def test_an_image_is_needed_for_a_proof(given: dict[str, Any], refused: bool) -> None:
    settings = good(gvisor_proof_image="busybox", **given)

    assert (image_problem(node(proof_image="no"), settings, changes=False) is not None) is refused


def test_an_image_is_not_needed_while_a_proof_holds() -> None:
    settings = good(gvisor_proof_image="busybox")
    given = {**proven(), "proof_image": "no"}
    digest = fingerprint(node(**given), RELEASE, PROFILES, image="busybox")
    given["state"] = {**given["state"], "proof": {"fingerprint": digest}}

    assert image_problem(node(**given), settings, changes=False) is None
    assert image_problem(node(**given), settings, changes=True) is not None


def test_a_node_tells_whether_the_image_is_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, proof_image="busybox")

    found = []
    for does in ('[ "$3" = busybox ]', "exit 1"):
        stub(machine.path, "docker", does)
        found.append(machine.node().proof_image)

    assert found == [True, False]


def test_every_program_that_unpacks_is_told_by_nodes(tmp_path: Path) -> None:
    (rule,) = (rule for rule in RULES if rule.id == "tools")
    machine = Machine(tmp_path)
    programs = {"curl", "wget", "apt-get", "bzip2", "xz", "zstd"}
    for program in programs:
        stub(machine.path, program, "exit 0")

    told = machine.node().tools or ()

    assert {*told} == programs
    assert rule.check(node(tools=" ".join(told)), Settings()) is None
