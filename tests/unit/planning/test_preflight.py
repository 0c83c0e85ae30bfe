"""Why a run cannot begin: what the node or the controller lacks, said before any change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.node import DAEMON_JSON
from pyinfra_gvisor.planning.controller import release_problem, report_problem
from pyinfra_gvisor.planning.image import image_problem
from pyinfra_gvisor.planning.preflight import (
    RULES,
    accepted_risks,
    engine_problem,
    preflight,
    refusals,
)
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.releases import local
from pyinfra_gvisor.settings import Settings, load_settings
from tests.cases.proven import PROFILES, RELEASE, converged, proven
from tests.unit.answers import node
from tests.unit.node_script import Machine
from tests.unit.shells import stub

OLD: dict[str, Any] = {"gvisor_release": "20240729.0", "gvisor_source": "debian"}
KNOWN = "CVE-2025-2713, CVE-2026-96812"
REASON = "throwaway nodes of a lab"
DOWN = ("info", "dockerd", "clock")
NO_DOCKER = (*DOWN, "docker_client")


def settings_of(**data: Any) -> Settings:
    """Settings that must be good."""
    settings, problems = load_settings(data)
    assert settings, problems
    return settings


def problems_of(data: dict[str, Any] | None = None, **given: Any) -> list[str]:
    """What is said about a node with these settings."""
    return [str(problem) for problem in preflight(node(**given), settings_of(**(data or {})))]


def test_a_plain_debian_node_is_fit() -> None:
    assert problems_of() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"uname": "6.12.9 riscv64"},
            "gVisor does not run on this architecture, got riscv64; use x86_64 or aarch64",
            id="architecture",
        ),
        pytest.param(
            {"uname": "5.5.0-1-amd64 x86_64"},
            "gVisor needs Linux 5.6 or later, got 5.5.0-1-amd64; upgrade the node's kernel",
            id="kernel",
        ),
        pytest.param(
            {"uname": "custom-kernel x86_64"},
            "gVisor needs Linux 5.6 or later, got custom-kernel; upgrade the node's kernel",
            id="kernel-of-no-number",
        ),
        pytest.param(
            {"page_size": "16384"},
            "gVisor needs pages of 4096 bytes, got 16384; boot a kernel with 4K pages",
            id="page-size",
        ),
        pytest.param(
            {"max_user_namespaces": "0"},
            "user.max_user_namespaces is 0, but runsc needs user namespaces; "
            "run sysctl user.max_user_namespaces=10000",
            id="user-namespaces",
        ),
        pytest.param(
            {"store_options": "rw,noexec,relatime"},
            "/opt/gvisor/releases is on a file system that is mounted noexec, "
            "got rw,noexec,relatime; mount this file system without noexec, or mount another "
            "one at that path",
            id="noexec",
        ),
        pytest.param(
            {"store_free": "1000 4096"},
            "/opt/gvisor/releases needs 768 MiB of free space for another release, got 3 MiB; "
            "free some space; gvisor_keep_releases limits how many releases stay",
            id="free-space",
        ),
        pytest.param(
            {"stray_sidecars": "yes"},
            "/usr/local/bin/gvisor-bin exists, and /usr/local/bin/runsc would use its sidecars; "
            "remove /usr/local/bin/gvisor-bin; each release has its sidecars in its own directory",
            id="stray-sidecars",
        ),
    ],
)
def test_a_machine_that_gvisor_does_not_run_on_is_refused_with_the_way_out(
    given: dict[str, str], message: str
) -> None:
    assert problems_of(**given) == [message]


@pytest.mark.parametrize(
    ("given"),
    [
        pytest.param({"uname": "5.6.0 x86_64"}, id="oldest-kernel"),
        pytest.param({"uname": "6.1.0-40-arm64 aarch64"}, id="arm64"),
        pytest.param({"uname": "6.1.0 amd64"}, id="debians-name"),
        pytest.param({"uname": "10.0.1 x86_64"}, id="two-digit-major"),
        pytest.param({"without": ("max_user_namespaces",)}, id="no-such-limit"),
        pytest.param({"max_user_namespaces": "1"}, id="one-user-namespace"),
    ],
)
def test_a_machine_that_gvisor_just_runs_on_is_fit(given: dict[str, Any]) -> None:
    assert problems_of(**given) == []


def test_every_reason_is_told_at_once() -> None:
    found = problems_of(OLD, uname="4.19.0 armv7l", page_size="65536", max_user_namespaces="0")

    assert len(found) == 5


def test_without_runtimes_only_docker_matters() -> None:
    found = problems_of({"gvisor_runtimes": {}, **OLD}, uname="4.19.0 armv7l")

    assert found == []


@pytest.mark.parametrize(
    ("flavour", "given", "message"),
    [
        pytest.param("present", {}, None, id="there"),
        pytest.param("debian", {}, None, id="there-and-installing-allowed"),
        pytest.param("present", {"without": NO_DOCKER}, "Docker is not installed; ", id="missing"),
        pytest.param("debian", {"without": NO_DOCKER}, None, id="missing-but-to-be-installed"),
        pytest.param("docker-ce", {"without": NO_DOCKER}, None, id="missing-but-docker-ce"),
        pytest.param(
            "present",
            {"without": DOWN, "docker_error": "connect: Connection refused"},
            "dockerd does not answer, got connect: Connection refused; ",
            id="down",
        ),
        pytest.param(
            "debian", {"without": DOWN}, "dockerd does not answer, got no ", id="down-not-replaced"
        ),
        pytest.param(
            "debian",
            {"without": ("info", "docker_client")},
            "dockerd does not answer",
            id="runs-without-client",
        ),
    ],
)
def test_docker_has_to_be_there_and_to_answer_or_to_be_installed(
    flavour: str, given: dict[str, Any], message: str | None
) -> None:
    problem = engine_problem(node(**given), flavour)

    assert (problem is None) is (message is None)
    assert str(problem).startswith(message or "None")


def test_preflight_takes_dockers_flavour_from_the_settings() -> None:
    assert problems_of({"gvisor_docker": "debian"}, without=NO_DOCKER) == []
    assert problems_of({"gvisor_docker": "present"}, without=NO_DOCKER) != []


def test_a_release_with_a_known_escape_is_refused_with_the_floor_and_the_way_out() -> None:
    (message,) = problems_of(OLD)

    assert message == (
        "release 20240729.0 has a known escape (CVE-2025-2713, CVE-2026-96812); "
        'use 20260831.0 or later, or accept the risk: gvisor_accept_risk = "<reason>"'
    )


def test_a_risk_that_is_accepted_is_no_reason_to_refuse_and_is_repeated() -> None:
    data = {**OLD, "gvisor_accept_risk": REASON}

    assert problems_of(data) == []
    assert accepted_risks(settings_of(**data)) == (
        f"RISK ACCEPTED: runsc 20240729.0 is open to {KNOWN}. Reason given: {REASON}",
    )


def test_a_dangerous_runtime_is_repeated_with_its_reason() -> None:
    netraw = {"network": "host", "flags": ["--net-raw"], "reason": "ping monitors need it"}

    (said,) = accepted_risks(settings_of(gvisor_runtimes={"netraw": netraw}))

    assert said.startswith("RISK ACCEPTED: runtime netraw: raw sockets of the host kernel")
    assert said.endswith("Reason given: ping monitors need it")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"gvisor_accept_risk": REASON}, id="safe-release"),
        pytest.param(OLD, id="nothing-accepted"),
        pytest.param({**OLD, "gvisor_accept_risk": REASON, "gvisor_runtimes": {}}, id="no-gvisor"),
    ],
)
def test_there_is_no_accepted_risk_where_there_is_none_to_accept(data: dict[str, Any]) -> None:
    assert accepted_risks(settings_of(**data)) == ()


@pytest.mark.parametrize(
    ("release", "kernel", "network", "refused"),
    [
        pytest.param("20240729.0", "6.11.0", "sandbox", True, id="too-old"),
        pytest.param("20240729.0", "6.10.9", "sandbox", False, id="older-kernel"),
        pytest.param("20240807.0", "6.18.0", "sandbox", False, id="first-that-works"),
        pytest.param("20240729.0", "6.18.0", "host", False, id="hostinet"),
        pytest.param("20240729.0", "6.18.0", "none", False, id="no-network"),
    ],
)
def test_an_old_netstack_on_a_new_kernel_is_refused(
    release: str, kernel: str, network: str, refused: bool
) -> None:
    data = {
        "gvisor_release": release,
        "gvisor_source": "debian",
        "gvisor_accept_risk": REASON,
        "gvisor_runtimes": {"runsc": {}, "net": {"network": network}},
    }

    found = problems_of(data, uname=f"{kernel} x86_64")

    assert [("runtime net" in message) for message in found] == [True] * refused


@pytest.mark.parametrize(
    ("flag", "said", "refused"),
    [
        pytest.param("--enable-core-tags", "Invalid argument", True, id="on"),
        pytest.param("-enable-core-tags=True", "No such device", True, id="on-without-smt"),
        pytest.param("--enable-core-tags=false", "Invalid argument", False, id="off"),
        pytest.param("--enable-core-tags", None, False, id="a-kernel-that-can"),
    ],
)
def test_core_tags_are_refused_where_the_kernel_has_none(
    flag: str, said: str | None, refused: bool
) -> None:
    data = {"gvisor_runtimes": {"runsc": {}, "tagged": {"flags": [flag]}}}

    found = problems_of(data, **({} if said is None else {"no_core_scheduling": said}))

    assert ["of runtime tagged needs core scheduling" in text for text in found] == [True] * refused


@pytest.mark.parametrize(
    ("data", "arch", "refused"),
    [
        pytest.param({"gvisor_sha512": {"x86_64": "0" * 128}}, "aarch64", True, id="other-arch"),
        pytest.param({"gvisor_sha512": {"x86_64": "0" * 128}}, "x86_64", False, id="this-arch"),
        pytest.param({}, "aarch64", False, id="known-to-us"),
    ],
)
def test_a_release_without_a_checksum_for_this_architecture_is_refused(
    data: dict[str, Any], arch: str, refused: bool
) -> None:
    found = problems_of(data, uname=f"6.12.9 {arch}")

    assert [f'gvisor_sha512 = {{"{arch}"' in message for message in found] == [True] * refused


SHIM = {"foreign_shim": "/usr/local/bin/containerd-shim-runsc-v1"}


@pytest.mark.parametrize(
    ("given", "settings", "found"),
    [
        pytest.param(SHIM, {}, "containerd-shim-runsc-v1 (docker run --runtime io", id="shim"),
        pytest.param({"foreign_runsc": "old"}, {}, "runtime old (starts runsc by", id="runtime"),
        pytest.param({"foreign_runsc": "runsc"}, {}, "", id="runtime-that-a-run-replaces"),
        pytest.param(SHIM, {"gvisor_default": "off"}, "", id="no-default"),
        pytest.param(
            SHIM,
            {"gvisor_waivers": {"judge-bypassed": "only root uses kata here"}},
            "",
            id="waived",
        ),
    ],
)
def test_a_default_that_containers_can_pass_by_is_refused(
    given: dict[str, str], settings: dict[str, Any], found: str
) -> None:
    said = problems_of({"gvisor_default": "sandbox", **settings}, **given)

    assert [found in line for line in said] == ([True] if found else [])


def test_a_reason_is_one_line_that_names_host_and_node() -> None:
    problem = preflight(node(page_size="65536"), settings_of())[0]

    line = problem.at("preflight", "node", "run-7")

    assert isinstance(problem, Problem)
    assert line.startswith("preflight: node on run-7: gVisor needs pages")
    assert "\n" not in line


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"store_free": "1000 4096", "releases": ["20260928.0"]}, id="installed"),
        pytest.param({"store_free": "196608 4096"}, id="just-enough"),
        pytest.param({"stray_sidecars": "yes", "runsc_file": "yes"}, id="somebodys-runsc"),
    ],
)
def test_what_does_no_harm_is_no_reason_to_refuse(given: dict[str, Any]) -> None:
    assert problems_of(**given) == []


def test_debians_small_package_needs_less_space() -> None:
    data = {**OLD, "gvisor_accept_risk": REASON}

    assert problems_of(data, store_free="40000 4096") == []
    assert len(problems_of(data, store_free="4000 4096")) == 1


def test_every_rule_names_where_it_is_known_from() -> None:
    assert all(rule.id and rule.what and rule.source for rule in RULES)
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("there", "refused"),
    [
        pytest.param("yes", [], id="there"),
        pytest.param("no", ["/srv/text is not a directory"], id="not-there"),
        pytest.param(None, [], id="nobody-looked"),
    ],
)
def test_metrics_need_their_directory(there: str | None, refused: list[str]) -> None:
    settings = settings_of(gvisor_textfile_dir="/srv/text", gvisor_runtimes={})

    found = preflight(node(textfile_dir=there) if there else node(), settings)

    assert [problem.what for problem in found] == refused


def test_whatever_is_impossible_is_said_at_once_and_where() -> None:
    wrong = {"gvisor_watch": True, "gvisor_textfile_dir": "/srv/text", "gvisor_egress": {}}
    impossible = node(init="lab-init", textfile_dir="no", daemon_json='{"a" 1}')

    found = [
        (what, problem.what) for what, problem in refusals(impossible, settings_of(**wrong), tuple)
    ]

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


def test_an_archive_is_read_once_for_all_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "gvisor.tar.bz2"
    archive.write_bytes(b"archive")
    reads: list[str] = []
    local._sha512.cache_clear()
    monkeypatch.setattr(hashlib, "file_digest", _counting(hashlib.file_digest, reads))
    sums = {"x86_64": hashlib.sha512(b"archive").hexdigest()}
    wanted = settings_of(gvisor_source=str(archive), gvisor_sha512=sums)

    found = [release_problem(node(), wanted) for _ in range(3)]

    assert found == [None] * 3
    assert len(reads) == 1


def _counting(digest: Any, reads: list[str]) -> Any:
    def counted(file: Any, name: str) -> Any:
        reads.append(name)
        return digest(file, name)

    return counted


def test_a_release_that_is_there_needs_no_file() -> None:
    missing = settings_of(gvisor_source="/nowhere/gvisor.tar.bz2")

    assert release_problem(node(**converged()), missing) is None
    assert release_problem(node(), missing) is not None


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        pytest.param({}, True, id="never-proven"),
        pytest.param({"gvisor_proof": "never"}, False, id="never-to-be-proven"),
        pytest.param({"gvisor_runtimes": {}}, False, id="no-gvisor"),
    ],
)
def test_an_image_is_needed_for_a_proof(given: dict[str, Any], refused: bool) -> None:
    settings = settings_of(gvisor_proof_image="busybox", **given)

    found = image_problem(node(proof_image="no"), settings, changes=False)

    assert (found is not None) is refused


def test_an_image_is_not_needed_while_a_proof_holds() -> None:
    settings = settings_of(gvisor_proof_image="busybox")
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
    for program in ("curl", "wget", "apt-get", "bzip2", "xz", "zstd"):
        stub(machine.path, program, "exit 0")

    told = machine.node().tools or ()

    assert {"curl", "wget", "apt-get", "bzip2", "xz", "zstd"} == {*told}
    assert rule.check(node(tools=" ".join(told)), Settings()) is None
