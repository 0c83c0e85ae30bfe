"""``gvisor.release``: a release that is there is left, another comes with its checksum."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyinfra.api.exceptions import PyinfraError

from pyinfra_gvisor.operations import gvisor
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.releases.sources import Archive
from tests.cases.fleet import Fleet, Node, Reply
from tests.unit.answers import answer

RELEASE = "20260928.0"
BARE = answer()
THERE = answer(releases=["20240729.0", RELEASE])


def test_a_release_that_is_there_is_left_alone() -> None:
    nodes = {"a": Node([THERE])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.release, RELEASE, archive=Archive())
    fleet.run()

    assert nodes["a"].kinds() == ["state"]


@pytest.mark.parametrize(
    "arch", [pytest.param("x86_64", id="x86"), pytest.param("aarch64", id="arm")]
)
def test_an_official_release_is_fetched_for_the_nodes_architecture_with_its_checksum(
    arch: str,
) -> None:
    nodes = {"a": Node([answer(uname=f"6.12.9 {arch}")])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.release, RELEASE, archive=Archive())
    fleet.run()

    command = nodes["a"].of("release").command
    url = f"https://storage.googleapis.com/gvisor/releases/release/{RELEASE}/{arch}/gvisor.tar.bz2"
    assert "source=url\n" in command
    assert f"location={url}\n" in command
    assert f"sha512={known(RELEASE, arch)['gvisor.tar.bz2']}\n" in command
    assert f"release={RELEASE}\n" in command


def test_debians_package_needs_neither_location_nor_checksum() -> None:
    nodes = {"a": Node([BARE])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.release, "20240729.0", archive=Archive("debian"))
    fleet.run()

    command = nodes["a"].of("release").command
    assert "source=debian\n" in command
    assert "location='\"'\"''\"'\"'\n" in command


def test_a_file_on_the_controller_is_uploaded_beside_the_releases(tmp_path: Path) -> None:
    archive = tmp_path / "gvisor-x86_64.tar.bz2"
    archive.write_bytes(b"archive")
    nodes = {"a": Node([BARE])}
    fleet = Fleet(nodes)

    source = Archive(f"{tmp_path}/gvisor-{{arch}}.tar.bz2", {"x86_64": "0" * 128})
    fleet.add(gvisor.release, RELEASE, archive=source)
    fleet.run()

    remote = f"/opt/gvisor/releases/.upload-{RELEASE}"
    assert nodes["a"].kinds()[-3:] == ["mkdir -p /opt/gvisor/releases", "upload", "release"]
    assert nodes["a"].of("upload").command == f"FileUploadCommand({archive}, {remote})"
    assert f"location={remote}\n" in nodes["a"].of("release").command
    assert f"sha512={'0' * 128}\n" in nodes["a"].of("release").command


def test_a_file_that_the_controller_lacks_fails_the_host_before_anything_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = {"bad": Node([BARE]), "good": Node([THERE])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.release, RELEASE, archive=Archive(f"{tmp_path}/none", {"x86_64": "0" * 128}))
    fleet.run()

    assert fleet.failed() == {"bad"}
    assert set(nodes["bad"].kinds()) == {"state"}
    assert f"gvisor.release: {RELEASE} on @fake/bad: no such file on the controller" in caplog.text


def test_a_release_without_a_checksum_is_never_fetched_without_one() -> None:
    nodes = {"a": Node([BARE]), "b": Node([answer(releases=["20250101.0"])])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.release, "20250101.0", archive=Archive("https://mirror.example/x.tar"))
    fleet.run()

    assert fleet.failed() == {"a"}
    assert set(nodes["a"].kinds()) == {"state"}


def test_preparing_fetches_nothing_and_says_what_it_would_fetch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    nodes = {"a": Node([answer(releases=["20240729.0"])])}

    meta = Fleet(nodes).add(gvisor.release, RELEASE, archive=Archive())

    assert meta["a"].will_change
    assert nodes["a"].kinds() == ["state"]
    assert f"install runsc {RELEASE} from https://storage.googleapis.com/" in caplog.text
    assert "beside 20240729.0" in caplog.text


def test_an_installation_that_fails_fails_that_host_alone() -> None:
    failing = Reply(ok=False, stderr=["sha512 of it is 0…"])
    nodes = {"bad": Node([BARE], {"release": failing}), "good": Node([BARE, THERE])}
    fleet = Fleet(nodes)

    fleet.add(gvisor.release, RELEASE, archive=Archive())
    fleet.run()

    assert fleet.failed() == {"bad"}


@pytest.mark.parametrize(
    "version",
    [
        pytest.param("../../tmp/x", id="a-path"),
        pytest.param("-rf", id="an-option"),
        pytest.param("", id="empty"),
    ],
)
def test_a_version_that_is_no_release_never_reaches_a_node(version: str) -> None:
    nodes = {"a": Node([BARE])}
    fleet = Fleet(nodes)
    fleet.add(gvisor.release, version, archive=Archive("debian"))

    with pytest.raises(PyinfraError, match="No hosts remaining"):
        fleet.run()

    assert set(nodes["a"].kinds()) == {"state"}
