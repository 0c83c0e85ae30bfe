"""What a run needs beside kernel and Docker: files on the controller, programs, an image."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.preflight import RULES
from pyinfra_gvisor.preflight.controller import release_problem, report_problem
from pyinfra_gvisor.preflight.image import image_problem
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.releases import local
from pyinfra_gvisor.settings import Settings
from tests.cases.proven import PROFILES, RELEASE, converged, proven
from tests.unit.answers import node
from tests.unit.node_script import Machine
from tests.unit.shells import stub

IMAGE = "busybox"


def settings(**given: Any) -> Settings:
    """Settings with these keys."""
    return Settings.model_validate({f"gvisor_{key}": value for key, value in given.items()})


def test_a_directory_that_will_be_made_is_no_problem(tmp_path: Path) -> None:
    assert report_problem(None) is None
    assert report_problem(str(tmp_path / "made" / "later")) is None
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere

    problem = report_problem(str(tmp_path / "reports"))

    assert f"{tmp_path} on the controller is not writable" in str(problem)


def test_a_file_in_place_of_the_hosts_reports_is_named(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("")

    assert f"{tmp_path}/hosts on the controller is not a directory" in str(
        report_problem(str(tmp_path))
    )


def test_an_archive_is_read_once_for_all_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "gvisor.tar.bz2"
    archive.write_bytes(b"archive")
    reads: list[str] = []
    local._sha512.cache_clear()
    monkeypatch.setattr(hashlib, "file_digest", _counting(hashlib.file_digest, reads))
    wanted = settings(
        source=str(archive), sha512={"x86_64": hashlib.sha512(b"archive").hexdigest()}
    )

    found = [release_problem(node(), wanted) for _ in range(3)]

    assert found == [None] * 3
    assert len(reads) == 1


def _counting(digest: Any, reads: list[str]) -> Any:
    def counted(file: Any, name: str) -> Any:
        reads.append(name)
        return digest(file, name)

    return counted


def test_a_release_that_is_there_needs_no_file() -> None:
    missing = settings(source="/nowhere/gvisor.tar.bz2")

    assert release_problem(node(**converged()), missing) is None
    assert release_problem(node(), missing) is not None


@pytest.mark.parametrize(
    ("given", "changes", "refused"),
    [
        pytest.param({}, False, True, id="never-proven"),
        pytest.param({"proof": "never"}, False, False, id="never-to-be-proven"),
        pytest.param({"runtimes": {}}, False, False, id="no-gvisor"),
    ],
)
def test_an_image_is_needed_for_a_proof(
    given: dict[str, Any], changes: bool, refused: bool
) -> None:
    found = image_problem(
        node(proof_image="no"), settings(proof_image=IMAGE, **given), changes=changes
    )

    assert (found is not None) is refused


def test_an_image_is_not_needed_while_a_proof_holds() -> None:
    given = {**proven(), "proof_image": "no"}
    digest = fingerprint(node(**given), RELEASE, PROFILES, image=IMAGE)
    given["state"] = {**given["state"], "proof": {"fingerprint": digest}}

    assert image_problem(node(**given), settings(proof_image=IMAGE), changes=False) is None
    assert image_problem(node(**given), settings(proof_image=IMAGE), changes=True) is not None


def test_a_node_tells_which_programs_it_has_and_whether_the_image_is_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, proof_image=IMAGE)
    stub(machine.path, "docker", f'[ "$3" = {IMAGE} ] || exit 1')
    stub(machine.path, "wget", "exit 0")
    stub(machine.path, "bzip2", "exit 0")

    found = machine.node()

    assert found.proof_image is True
    assert found.tools is not None
    assert {"wget", "bzip2"} <= {*found.tools}
    stub(machine.path, "docker", "exit 1")
    assert machine.node().proof_image is False


def test_every_program_that_unpacks_is_told_by_nodes(tmp_path: Path) -> None:
    (rule,) = (rule for rule in RULES if rule.id == "tools")
    machine = Machine(tmp_path)
    for program in ("curl", "wget", "apt-get", "bzip2", "xz", "zstd"):
        stub(machine.path, program, "exit 0")

    told = machine.node().tools or ()

    assert {"curl", "wget", "apt-get", "bzip2", "xz", "zstd"} == {*told}
    assert rule.check(node(tools=" ".join(told)), Settings()) is None
