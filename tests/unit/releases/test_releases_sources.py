"""Where a release's files come from, which they are, and what they must be."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.releases.sources import Archive, check_source, shown_url
from tests.table import table

RELEASE = "20260928.0"
LOOSE_RELEASE = "20260817.0"
SHA = "0" * 128
SHIM = "containerd-shim-runsc-v1"
LOOSE = {"aarch64": {"runsc": SHA, SHIM: "1" * 128}}
GITHUB = "https://github.com/google/gvisor/releases/download"
BUCKET = "https://storage.googleapis.com/gvisor/releases/release"


@table(
    "source, location",
    official=("official", f"{BUCKET}/20260928.0/aarch64/gvisor.tar.bz2"),
    github=("github", f"{GITHUB}/release-20260928.0/gvisor-aarch64.tar.bz2"),
    url=("https://m/{release}/{arch}.tar", "https://m/20260928.0/aarch64.tar"),
    url_with_file=("https://m/{file}", "https://m/gvisor.tar.bz2"),
    path=("/srv/gvisor.tar.bz2", "/srv/gvisor.tar.bz2"),
    other_braces_stay=("/srv/{other}.tar", "/srv/{other}.tar"),
)
def test_an_archive_lies_where_its_source_says(source: str, location: str) -> None:
    (file,) = Archive(source, {"aarch64": SHA}).fetch(RELEASE, "aarch64").files

    assert (file.name, file.sha512, file.location) == ("gvisor.tar.bz2", SHA, location)


def test_a_directory_has_the_buckets_layout_a_mirror_old_archives_and_debian_its_package() -> None:
    below = Archive("/srv/gvisor/").below("/srv/gvisor/").fetch(RELEASE, "x86_64")
    mirrored = Archive("https://m/x.tar", {"x86_64": SHA}).fetch(LOOSE_RELEASE, "x86_64")
    debians = Archive("debian").fetch(RELEASE, "x86_64")

    locations = [file.location for file in below.files]
    assert locations == ["/srv/gvisor/20260928.0/x86_64/gvisor.tar.bz2"]
    assert [file.name for file in mirrored.files] == ["gvisor.tar.bz2"]
    assert (debians.kind, debians.files, debians.sidecars) == ("debian", (), False)


def test_loose_files_are_fetched_one_by_one_each_with_its_own_sum() -> None:
    fetch = Archive("official", LOOSE).fetch(LOOSE_RELEASE, "aarch64")

    assert fetch.files == (
        ("runsc", SHA, f"{BUCKET}/20260817.0/aarch64/runsc"),
        (SHIM, "1" * 128, f"{BUCKET}/20260817.0/aarch64/{SHIM}"),
    )


@table(
    "release, names, sidecars",
    up_to_the_change=(LOOSE_RELEASE, ["runsc", SHIM], False),
    after_it=("20260817.1", ["gvisor.tar.bz2"], True),
)
def test_where_all_sums_are_known_the_date_decides_what_is_fetched(
    release: str, names: list[str], sidecars: bool
) -> None:
    sums = {"x86_64": {"gvisor.tar.bz2": SHA, **LOOSE["aarch64"]}}

    fetch = Archive("official", sums).fetch(release, "x86_64")

    assert [file.name for file in fetch.files] == names
    assert fetch.sidecars is sidecars


@table(
    "source, repository, key",
    gvisors_own=(
        "apt",
        "https://storage.googleapis.com/gvisor/releases",
        "https://gvisor.dev/archive.key",
    ),
    anothers=("apt+https://m/apt/", "https://m/apt", "https://m/apt/archive.key"),
)
def test_apt_takes_the_package_by_its_sum_and_the_key_from_beside_the_repository(
    source: str, repository: str, key: str
) -> None:
    fetch = Archive(source, {"x86_64": {"runsc.deb": SHA}}).fetch(RELEASE, "x86_64")

    assert (fetch.kind, fetch.repository, fetch.key) == ("apt", repository, key)
    assert [file[:2] for file in fetch.files] == [("runsc.deb", SHA)]
    assert fetch.sidecars


@table(
    "archive, release, message",
    github_loose=(
        Archive("github", {"x86_64": LOOSE["aarch64"]}),
        LOOSE_RELEASE,
        (
            "GitHub has only archives, but releases up to 20260817.0 are loose files; "
            'use gvisor_source = "official"'
        ),
    ),
    url_without_file=(
        Archive("https://u:p@m/{arch}", {"x86_64": LOOSE["aarch64"]}),
        LOOSE_RELEASE,
        (
            "the release has two files, which cannot have the same URL, got "
            "https://m/{arch}; put {file} into"
        ),
    ),
    half_of_the_loose_files=(
        Archive("official", {"x86_64": {"runsc": SHA}}),
        LOOSE_RELEASE,
        "the sha512 of containerd-shim-runsc-v1 is unknown, got runsc; set ",
    ),
    apt_by_the_archives_sum=(
        Archive("apt", {"x86_64": SHA}),
        RELEASE,
        "the sha512 of runsc.deb is unknown, got gvisor.tar.bz2; set ",
    ),
    unknown=(Archive(), "20990101.0", "the sha512 of gvisor.tar.bz2 is unknown; set "),
    no_release=(Archive(), "latest", "not a gVisor release, got latest"),
)
def test_what_cannot_be_fetched_has_a_way_out(archive: Archive, release: str, message: str) -> None:
    with pytest.raises(Problem) as raised:
        archive.fetch(release, "x86_64")

    assert str(raised.value).startswith(message)


def test_a_checksum_is_the_operators_for_that_architecture_or_the_known_one() -> None:
    assert Archive().checksum(RELEASE, "x86_64") == known(RELEASE, "x86_64")
    assert not Archive().checksum("20990101.0", "x86_64")
    given = Archive("official", {"x86_64": SHA})
    assert given.checksum(RELEASE, "x86_64") == {"gvisor.tar.bz2": SHA}
    assert not given.checksum(RELEASE, "aarch64")


@pytest.mark.parametrize(
    "text", ["official", "github", "apt", "apt+https://m/x", "debian", "http://m/x", "/srv/a b"]
)
def test_a_source_is_taken(text: str) -> None:
    check_source(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "mirror", "ftp://m/x", "./x", "apt+/srv/x", "https://m/a b", "https://m/x\n"),
        *("-https://m/x", "/srv/\x1b[31m"),
    ],
    ids=repr,
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(Problem, match=r"^not a valid source, got .*; write official, "):
        check_source(text)


@table("text", url="https://me:secret@m/{file}", apt="apt+https://me:secret@m")
def test_a_password_that_others_could_see_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(Problem, match=r"^the URL has a password, which every user") as raised:
        check_source(text)

    assert "secret" not in str(raised.value)


def test_user_and_password_are_not_shown() -> None:
    assert shown_url("https://me:secret@m:8080/x@y") == "https://m:8080/x@y"
    fetch = Archive("https://me:pw@m/x", {"x86_64": SHA}).fetch(RELEASE, "x86_64")
    assert fetch.origin == "https://m/x"
