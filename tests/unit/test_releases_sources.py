"""Where a release's files come from, and what they must be."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.releases.sources import Archive

PINNED = ("20260928.0", "x86_64")


@pytest.mark.parametrize(
    ("source", "location"),
    [
        pytest.param(
            "official",
            "https://storage.googleapis.com/gvisor/releases/release/20260928.0/aarch64/gvisor.tar.bz2",
            id="official",
        ),
        pytest.param("debian", "", id="debian"),
        pytest.param(
            "https://mirror.example/{release}/{arch}.tar",
            "https://mirror.example/20260928.0/aarch64.tar",
            id="url",
        ),
        pytest.param("/srv/gvisor.tar.bz2", "/srv/gvisor.tar.bz2", id="path"),
        pytest.param("/srv/{other}.tar", "/srv/{other}.tar", id="other-braces-stay"),
    ],
)
def test_an_archive_lies_where_its_source_says(source: str, location: str) -> None:
    assert Archive(source).location("20260928.0", "aarch64") == location


def test_a_known_release_needs_no_checksum_from_the_operator() -> None:
    assert Archive().checksum(*PINNED) == known(*PINNED)["gvisor.tar.bz2"]


def test_the_operators_checksum_counts_for_more_than_the_known_one() -> None:
    archive = Archive("official", {"x86_64": "0" * 128})

    assert archive.checksum(*PINNED) == "0" * 128


def test_a_checksum_for_another_architecture_is_no_checksum() -> None:
    archive = Archive("official", {"aarch64": "0" * 128})

    assert archive.checksum(*PINNED) is None


def test_an_unknown_release_has_no_checksum() -> None:
    assert Archive().checksum("20990101.0", "x86_64") is None
