"""What is known of releases: versions, what is open to what, and the file that it is in."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from pyinfra_gvisor.releases import Release, parse_release
from pyinfra_gvisor.releases.known import (
    FILE,
    Known,
    Version,
    escapes_in,
    floor,
    is_distributions,
    known,
    newer_than,
    open_to,
    parse_version,
)
from pyinfra_gvisor.releases.lockfile import PACKAGED, read_lock


@pytest.mark.parametrize(
    ("release", "escapes"),
    [
        pytest.param("20221219.0", ["CVE-2025-2713", "CVE-2026-96812"], id="debian-12"),
        pytest.param("20240729.0", ["CVE-2025-2713", "CVE-2026-96812"], id="debian-13"),
        pytest.param("20250318.9", ["CVE-2025-2713", "CVE-2026-96812"], id="day-before-first-fix"),
        pytest.param("20250319.0", ["CVE-2026-96812"], id="first-fix"),
        pytest.param("20260817.0", ["CVE-2026-96812"], id="last-of-the-old-layout"),
        pytest.param("20260830.99", ["CVE-2026-96812"], id="day-before-second-fix"),
        pytest.param("20260831.0", [], id="floor"),
        pytest.param("20260928.0", [], id="default"),
    ],
)
def test_a_release_is_open_to_the_escapes_fixed_after_it(release: str, escapes: list[str]) -> None:
    found = escapes_in(parse_release(release))

    assert [escape.id for escape in found] == escapes


def test_the_floor_is_the_oldest_release_without_a_known_escape() -> None:
    assert floor() == Release(20260831, 0)
    assert escapes_in(floor()) == ()


@pytest.mark.parametrize(
    ("text", "version", "distributions"),
    [
        pytest.param("29.8.2", Version(29, 8, 2), False, id="docker"),
        pytest.param("v1.7.27", Version(1, 7, 27), False, id="containerd"),
        pytest.param("26.1.5+dfsg1", Version(26, 1, 5), True, id="debian-docker"),
        pytest.param("1.6.20~ds1", Version(1, 6, 20), True, id="debian-containerd"),
        pytest.param("1.3.0-0ubuntu2~24.04.1", Version(1, 3, 0), True, id="ubuntu-runc"),
        pytest.param("1.4.0-rc.3", Version(1, 4, 0, False, 3), False, id="candidate"),
        pytest.param("05044ec0a9a75232cad458027ca83437aae3f4da", None, False, id="commit"),
        pytest.param("", None, False, id="nothing"),
        pytest.param("29.8", None, False, id="two-numbers"),
    ],
)
def test_a_version_is_read_as_programs_say_it(
    text: str, version: Version | None, distributions: bool
) -> None:
    assert parse_version(text) == version
    assert is_distributions(text) is distributions


@pytest.mark.parametrize(
    ("version", "commit", "distributions"),
    [
        pytest.param("28.2.2", "28.2.2-0ubuntu1~24.04.1", True, id="ubuntu-docker"),
        pytest.param("1.7.28", "-", True, id="ubuntu-containerd"),
        pytest.param("1.3.3-0ubuntu1~24.04.3", "", True, id="ubuntu-runc"),
        pytest.param("28.5.2", "89c5e8f", False, id="docker-ce"),
        pytest.param("1.7.27", "05044ec0a9a75232cad458027ca83437aae3f4da", False, id="containerd"),
        pytest.param("1.2.5", "v1.2.5-0-g59923ef", False, id="runc"),
        pytest.param("v1.2.5-0-g59923ef", None, False, id="runc-of-info"),
        pytest.param("28.3.3-ce", "bea959c7b", True, id="suse-docker"),
    ],
)
def test_a_distributions_version_is_known_by_its_commit_too(
    version: str, commit: str | None, distributions: bool
) -> None:
    assert is_distributions(version, commit) is distributions


def test_versions_compare_in_the_order_they_came_out() -> None:
    names = ["1.4.0", "1.4.0-rc.10", "1.3.10", "1.4.0-rc.2", "1.3.9"]

    ordered = sorted(names, key=lambda name: parse_version(name) or Version(0, 0, 0))

    assert ordered == ["1.3.9", "1.3.10", "1.4.0-rc.2", "1.4.0-rc.10", "1.4.0"]


@pytest.mark.parametrize(
    ("version", "is_open"),
    [
        pytest.param("1.1.15", True, id="a-branch-that-was-not-mended"),
        pytest.param("1.2.7", True, id="before-the-fix"),
        pytest.param("1.2.8", False, id="the-fix"),
        pytest.param("1.3.2", True, id="before-the-fix-of-a-later-branch"),
        pytest.param("1.4.0-rc.2", True, id="candidate-before-the-fix"),
        pytest.param("1.4.0-rc.3", False, id="candidate-with-the-fix"),
        pytest.param("1.4.0", False, id="final-of-a-mended-candidate"),
        pytest.param("1.5.0", False, id="a-branch-of-later"),
        pytest.param("2.0.0", False, id="a-version-of-later"),
        pytest.param("abcdef0", False, id="nobody-knows"),
    ],
)
def test_a_branch_is_open_until_it_was_mended(version: str, is_open: bool) -> None:
    assert ("CVE-2025-52881" in {item.id for item in open_to("runc", version)}) is is_open


def test_how_many_releases_are_newer_is_counted_by_those_that_are_known() -> None:
    newest = parse_release(known().gvisor_releases[0])

    assert newer_than(newest) == 0
    assert newer_than(Release(newest.date + 1, 0)) == 0
    assert newer_than(parse_release(known().gvisor_releases[20])) == 20
    assert newer_than(Release(20260905, 0)) == newer_than(Release(20260831, 0))  # one of nobody's


def test_the_file_is_in_order() -> None:
    releases = [parse_release(item) for item in known().gvisor_releases]
    ids = [item.id for item in known().vulnerabilities]

    assert releases == sorted(set(releases), reverse=True)
    assert len(ids) == len(set(ids))
    assert {item.program for item in known().vulnerabilities} == {
        *("gvisor", "docker", "containerd", "runc")
    }
    for item in known().vulnerabilities:
        read = parse_release if item.program == "gvisor" else parse_version
        assert None not in [read(version) for version in item.fixed_in]


def test_it_knows_every_release_of_the_lock_and_none_from_behind_its_day() -> None:
    names = set(known().gvisor_releases)

    assert set(read_lock(PACKAGED).releases) <= names
    assert max(parse_release(name).date for name in names) <= int(f"{known().as_of:%Y%m%d}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("source", "seen somewhere", id="no-source"),
        pytest.param("id", "a hole", id="no-id"),
        pytest.param("fixed_in", [], id="never-mended"),
        pytest.param("program", "podman", id="another-program"),
    ],
)
def test_what_has_no_source_or_no_fix_is_no_entry(key: str, value: object) -> None:
    document = json.loads(FILE.read_text())
    document["vulnerabilities"][0][key] = value

    with pytest.raises(ValidationError, match=key):
        Known.model_validate(document)
