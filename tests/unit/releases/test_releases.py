"""Releases: names, what is known of them, the lock, and where their files come from."""

import copy
import json
from collections.abc import Callable, Mapping
from functools import reduce
from itertools import pairwise
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases import Release, parse_release, printed_release
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
from pyinfra_gvisor.releases.lock import DEFAULT, LOCK
from pyinfra_gvisor.releases.lock import known as known_sums
from pyinfra_gvisor.releases.lockfile import PACKAGED, lock_text, read_lock
from pyinfra_gvisor.releases.sources import Archive, check_source, shown_url
from tests.table import table
from tests.unit.releases.conftest import Command

NEW, OLD = "20260928.0", "20260831.0"
ARCHIVE = "gvisor.tar.bz2"
OURS = LOCK["releases"][NEW]
ENTRY = f"releases/{NEW}"
SUMS = f"{ENTRY}/sha512"
PATH = f"{SUMS}/x86_64/{ARCHIVE}"
SUM = "a" * 128


@table(
    "text, release",
    usual=("20260928.0", Release(20260928, 0)),
    two_digit_number=("20240729.12", Release(20240729, 12)),
    leading_zeros=("20240729.007", Release(20240729, 7)),
)
def test_a_release_is_read_as_date_and_number(text: str, release: Release) -> None:
    assert parse_release(text) == release


@pytest.mark.parametrize(
    "text",
    [
        *("", "20260928", "20260928.", "2026-09-28.0", "19990101.0", "20260928.1234", "latest"),
        *("release-20260928.0", "20260928.0-12-gabc", "20260928.0\n", " 20260928.0"),
        *("-20260928.0", "../20260928.0"),
    ],
    ids=repr,
)
def test_what_is_no_release_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Problem, match=r"^not a gVisor release, got .*such as 20260928\.0$"):
        parse_release(text)


@table(
    "read, ordered",
    releases=(parse_release, ["20240729.2", "20240729.9", "20240729.10", "20260928.0"]),
    versions=(parse_version, ["1.3.9", "1.3.10", "1.4.0-rc.2", "1.4.0-rc.10", "1.4.0"]),
)
def test_names_compare_as_they_came_out(read: Callable[[str], Any], ordered: list[str]) -> None:
    assert all(read(older) < read(newer) for older, newer in pairwise(ordered))


@table(
    "printed, release",
    official=("runsc version release-20260928.0\nspec: 1.1.0-rc.1\n", Release(20260928, 0)),
    debian=("runsc version 0.0~20240729.0\nspec: 1.1.0", Release(20240729, 0)),
    missing=("runsc version VERSION_MISSING\nspec: 1.1.0", None),
    nightly=("runsc version release-20260928.0-12-g3f2a1b0", None),
    nothing=("", None),
    another_program=("runc version 1.1.15\nspec: 1.0.2", None),
    something_behind=("runsc version release-20260928.0x", None),
    no_prefix=("not runsc: runsc version 20260928.0", None),
)
def test_a_printed_version_names_a_release_or_none(printed: str, release: Release | None) -> None:
    assert printed_release(printed) == release


@table(
    "release, escapes",
    debian_12=("20221219.0", ["CVE-2025-2713", "CVE-2026-96812"]),
    debian_13=("20240729.0", ["CVE-2025-2713", "CVE-2026-96812"]),
    day_before_first_fix=("20250318.9", ["CVE-2025-2713", "CVE-2026-96812"]),
    first_fix=("20250319.0", ["CVE-2026-96812"]),
    last_of_the_old_layout=("20260817.0", ["CVE-2026-96812"]),
    day_before_second_fix=("20260830.99", ["CVE-2026-96812"]),
    floor=("20260831.0", []),
    default=("20260928.0", []),
)
def test_a_release_is_open_to_the_escapes_fixed_after_it(release: str, escapes: list[str]) -> None:
    assert [escape.id for escape in escapes_in(parse_release(release))] == escapes


def test_the_floor_is_the_oldest_release_without_a_known_escape_and_no_sum_is_of_another() -> None:
    assert (floor(), escapes_in(floor())) == (Release(20260831, 0), ())
    assert all(escapes_in(parse_release(release)) == () for release in LOCK["releases"])


@table(
    "text, version, distributions",
    docker=("29.8.2", Version(29, 8, 2), False),
    containerd=("v1.7.27", Version(1, 7, 27), False),
    debian_docker=("26.1.5+dfsg1", Version(26, 1, 5), True),
    debian_containerd=("1.6.20~ds1", Version(1, 6, 20), True),
    ubuntu_runc=("1.3.0-0ubuntu2~24.04.1", Version(1, 3, 0), True),
    candidate=("1.4.0-rc.3", Version(1, 4, 0, False, 3), False),
    commit=("05044ec0a9a75232cad458027ca83437aae3f4da", None, False),
    nothing=("", None, False),
    two_numbers=("29.8", None, False),
)
def test_a_version_is_read_as_programs_say_it(
    text: str, version: Version | None, distributions: bool
) -> None:
    assert parse_version(text) == version
    assert is_distributions(text) is distributions


@table(
    "version, commit, distributions",
    ubuntu_docker=("28.2.2", "28.2.2-0ubuntu1~24.04.1", True),
    ubuntu_containerd=("1.7.28", "-", True),
    ubuntu_runc=("1.3.3-0ubuntu1~24.04.3", "", True),
    docker_ce=("28.5.2", "89c5e8f", False),
    containerd=("1.7.27", "05044ec0a9a75232cad458027ca83437aae3f4da", False),
    runc=("1.2.5", "v1.2.5-0-g59923ef", False),
    runc_of_info=("v1.2.5-0-g59923ef", None, False),
    suse_docker=("28.3.3-ce", "bea959c7b", True),
)
def test_a_distributions_version_is_known_by_its_commit_too(
    version: str, commit: str | None, distributions: bool
) -> None:
    assert is_distributions(version, commit) is distributions


@table(
    "version, is_open",
    a_branch_that_was_not_mended=("1.1.15", True),
    before_the_fix=("1.2.7", True),
    the_fix=("1.2.8", False),
    before_the_fix_of_a_later_branch=("1.3.2", True),
    candidate_before_the_fix=("1.4.0-rc.2", True),
    candidate_with_the_fix=("1.4.0-rc.3", False),
    final_of_a_mended_candidate=("1.4.0", False),
    a_branch_of_later=("1.5.0", False),
    a_version_of_later=("2.0.0", False),
    nobody_knows=("abcdef0", False),
)
def test_a_branch_is_open_until_it_was_mended(version: str, is_open: bool) -> None:
    assert ("CVE-2025-52881" in {item.id for item in open_to("runc", version)}) is is_open


def test_what_is_known_is_found_by_release_and_architecture_and_newer_ones_counted() -> None:
    newest = parse_release(known().gvisor_releases[0])

    assert (newer_than(newest), newer_than(Release(newest.date + 1, 0))) == (0, 0)
    assert newer_than(parse_release(known().gvisor_releases[20])) == 20
    assert newer_than(Release(20260905, 0)) == newer_than(Release(20260831, 0))  # one of nobody's
    assert DEFAULT in LOCK["releases"]
    assert list(known_sums(DEFAULT, "aarch64")) == [ARCHIVE]
    assert known_sums(DEFAULT, "x86_64") != known_sums(DEFAULT, "aarch64")
    assert known_sums(DEFAULT, "riscv64") == known_sums("20990101.0", "x86_64") == {}


def test_the_file_is_in_order_and_knows_every_release_of_the_lock_and_none_of_later() -> None:
    names, ids = known().gvisor_releases, [item.id for item in known().vulnerabilities]
    releases = [parse_release(item) for item in names]

    assert releases == sorted(set(releases), reverse=True)
    assert len(ids) == len(set(ids))
    programs = {item.program for item in known().vulnerabilities}
    assert programs == {"gvisor", "docker", "containerd", "runc"}
    for item in known().vulnerabilities:
        read = parse_release if item.program == "gvisor" else parse_version
        assert None not in [read(version) for version in item.fixed_in]
    assert set(read_lock(PACKAGED).releases) <= set(names)
    assert releases[0].date <= int(f"{known().as_of:%Y%m%d}")


@table(
    "key, value",
    no_source=("source", "seen somewhere"),
    no_id=("id", "a hole"),
    never_mended=("fixed_in", []),
    another_program=("program", "podman"),
)
def test_what_has_no_source_or_no_fix_is_no_entry(key: str, value: object) -> None:
    document = json.loads(FILE.read_text())
    document["vulnerabilities"][0][key] = value

    with pytest.raises(ValidationError, match=key):
        Known.model_validate(document)


def test_the_packaged_lock_has_no_fault_and_all_that_is_wrong_with_one_is_told_at_once(
    tmp_path: Path, command: Command
) -> None:
    path = broken_lock(tmp_path, {"default": "20240729.0", f"{ENTRY}/layout": "loose"})
    code, _, err = command("check")

    lines = command("check", "--lock", str(path)).err.splitlines()

    assert (code, err) in ((0, ""), (2, ""))  # 2: a newer release is known
    assert PACKAGED.read_text() == lock_text(read_lock(PACKAGED))
    assert len(lines) == 3
    assert all(line.startswith(f"pyinfra-gvisor: {path}: ") for line in lines)


def wrong(key: str, value: object, says: str, place: str | None = None) -> tuple[str, object, str]:
    """A key of the lock, its value (None: no such key), and what is said of which place."""
    return key, value, f"{place or key}: {says}"


@table(
    "key, value, message",
    short=wrong(PATH, "a" * 127, "string should match pattern"),
    newline=wrong(PATH, f"{SUM}\n", "string should match pattern"),
    capitals=wrong(PATH, SUM.upper(), "string should match pattern"),
    number=wrong(PATH, 1, "input should be a valid string, got 1"),
    one_architecture=wrong(f"{SUMS}/aarch64", None, "must also have aarch64", SUMS),
    another_architecture=wrong(f"{SUMS}/riscv64", {}, "input should be 'x86_64' or"),
    not_corroborated=wrong(f"{ENTRY}/corroborated", None, "field required"),
    corroborated_nowhere=wrong(f"{ENTRY}/corroborated/x86_64", " ", "string should match"),
    unknown_key=wrong(f"{ENTRY}/note", "x", "extra inputs are not permitted"),
    bad_name=wrong("releases/20260907", OURS, "not a gVisor release, got 20260907"),
    leading_zero=wrong("releases/20260907.00", OURS, "not the usual form of this release"),
    no_default=wrong("default", None, "field required"),
    default_not_there=wrong("default", "20260907.0", "not among the releases, got 20260907"),
    default_with_an_escape=wrong(
        "default",
        "20240729.0",
        "open to CVE-2025-2713, CVE-2026-96812, got 20240729.0; choose 20260831.0",
    ),
    layout_of_another_date=wrong(
        f"{ENTRY}/layout", "loose", "must be archive for a release of this date, got loose"
    ),
    files_of_another_layout=wrong(
        f"{SUMS}/x86_64/runsc",
        SUM,
        "must name gvisor.tar.bz2, got gvisor.tar.bz2, runsc",
        f"{SUMS}/x86_64",
    ),
    two_equal=wrong(
        PATH,
        LOCK["releases"][OLD]["sha512"]["x86_64"][ARCHIVE],
        f"the same checksum as {SUMS}/x86_64",
        f"releases/{OLD}/sha512/x86_64/{ARCHIVE}",
    ),
    oldest_first=wrong("releases", dict(reversed(LOCK["releases"].items())), "not in order"),
)
def test_a_wrong_lock_is_told_by_file_and_key(
    tmp_path: Path, command: Command, key: str, value: object, message: str
) -> None:
    path = broken_lock(tmp_path, {key: value})

    code, _, err = command("check", "--lock", str(path))

    assert code == 1
    assert f"pyinfra-gvisor: {path}: " in err
    assert message in err


def broken_lock(directory: Path, changes: Mapping[str, object]) -> Path:
    """A copy of the lock with other values; None takes a key away."""
    lock = copy.deepcopy(LOCK)
    for key, value in changes.items():
        *parents, last = key.split("/")
        place = reduce(getitem, parents, lock)
        if value is None:
            del place[last]
        else:
            place[last] = value
    path = directory / "lock.json"
    path.write_text(json.dumps(lock))
    return path


@table(
    "content, message",
    empty=(b"", "line 1 column 1: Expecting value"),
    comma=(b'{\n  "default": "x",,\n}', "line 2 column 18: "),
    merge_conflict=(b"<<<<<<< HEAD\n{}", "line 1 column 1: "),
    twice=(b'{"default": "a", "default": "b"}', "a key exists twice, got default"),
    not_utf_8=(b"\xff{}", "not UTF-8 at byte 0"),
    deep=(b"[" * 100_000, "recursion"),
    a_list=(b"[]", "top: input should be a valid dict"),
)
@pytest.mark.parametrize("argv", [["list"], ["check"], ["add", NEW]])
def test_a_lock_that_is_none_stops_every_command(
    tmp_path: Path, command: Command, argv: list[str], content: bytes, message: str
) -> None:
    path = tmp_path / "lock.json"
    path.write_bytes(content)

    code, _, err = command(*argv, "--lock", str(path))

    assert code == 1
    assert f"{path}: " in err
    assert message in err
    assert "restore this file from the repository, or install this package again" in err
    assert path.read_bytes() == content


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


def test_a_directory_has_the_buckets_layout_a_mirror_old_archives_and_others_their_files() -> None:
    below = Archive("/srv/gvisor/").below("/srv/gvisor/").fetch(RELEASE, "x86_64")
    mirrored = Archive("https://m/x.tar", {"x86_64": SHA}).fetch(LOOSE_RELEASE, "x86_64")
    debians = Archive("debian").fetch(RELEASE, "x86_64")
    loose = Archive("official", LOOSE).fetch(LOOSE_RELEASE, "aarch64")

    locations = [file.location for file in below.files]
    assert locations == ["/srv/gvisor/20260928.0/x86_64/gvisor.tar.bz2"]
    assert [file.name for file in mirrored.files] == ["gvisor.tar.bz2"]
    assert (debians.kind, debians.files, debians.sidecars) == ("debian", (), False)
    assert loose.files == (  # each with its own sum
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


def test_a_checksum_is_the_operators_or_the_known_one_and_no_password_is_shown() -> None:
    given = Archive("official", {"x86_64": SHA})

    assert Archive().checksum(RELEASE, "x86_64") == known_sums(RELEASE, "x86_64")
    assert not Archive().checksum("20990101.0", "x86_64")
    assert given.checksum(RELEASE, "x86_64") == {"gvisor.tar.bz2": SHA}
    assert not given.checksum(RELEASE, "aarch64")
    assert shown_url("https://me:secret@m:8080/x@y") == "https://m:8080/x@y"
    fetch = Archive("https://me:pw@m/x", {"x86_64": SHA}).fetch(RELEASE, "x86_64")
    assert fetch.origin == "https://m/x"


@pytest.mark.parametrize(
    "text",
    [
        *("", "mirror", "ftp://m/x", "./x", "apt+/srv/x", "https://m/a b", "https://m/x\n"),
        *("-https://m/x", "/srv/\x1b[31m"),
    ],
    ids=repr,
)
def test_a_source_is_taken_and_what_is_none_is_refused(text: str) -> None:
    for source in ("official", "github", "apt", "apt+https://m/x", "debian", "http://m/x"):
        check_source(source)
    check_source("/srv/a b")

    with pytest.raises(Problem, match=r"^not a valid source, got .*; write official, "):
        check_source(text)


@table("text", url="https://me:secret@m/{file}", apt="apt+https://me:secret@m")
def test_a_password_that_others_could_see_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(Problem, match=r"^the URL has a password, which every user") as raised:
        check_source(text)

    assert "secret" not in str(raised.value)
