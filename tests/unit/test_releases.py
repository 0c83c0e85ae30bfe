"""Releases: names, and what runsc prints."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.releases import Release, parse_release, printed_release


@pytest.mark.parametrize(
    ("text", "release"),
    [
        pytest.param("20260928.0", Release(20260928, 0), id="usual"),
        pytest.param("20240729.12", Release(20240729, 12), id="two-digit-number"),
        pytest.param("20240729.007", Release(20240729, 7), id="leading-zeros"),
    ],
)
def test_a_release_is_read_as_date_and_number(text: str, release: Release) -> None:
    assert parse_release(text) == release


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("20260928", id="no-number"),
        pytest.param("20260928.", id="empty-number"),
        pytest.param("2026-09-28.0", id="hyphens"),
        pytest.param("19990101.0", id="another-century"),
        pytest.param("release-20260928.0", id="the-tag"),
        pytest.param("20260928.0-12-gabc", id="nightly"),
        pytest.param("20260928.0\n", id="newline"),
        pytest.param(" 20260928.0", id="space"),
        pytest.param("-20260928.0", id="an-option"),
        pytest.param("../20260928.0", id="a-path"),
        pytest.param("latest", id="a-word"),
        pytest.param("20260928.1234", id="number-too-long"),
    ],
)
def test_what_is_no_release_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Problem, match=r"^not a gVisor release, got .*such as 20260928\.0$"):
        parse_release(text)


def test_a_release_is_written_as_it_is_read() -> None:
    assert str(parse_release("20260928.3")) == "20260928.3"


def test_releases_compare_in_the_order_they_came_out() -> None:
    names = ["20260928.0", "20240729.10", "20240729.2", "20240729.9"]

    ordered = sorted(names, key=parse_release)

    assert ordered == ["20240729.2", "20240729.9", "20240729.10", "20260928.0"]


@pytest.mark.parametrize(
    ("printed", "release"),
    [
        pytest.param(
            "runsc version release-20260928.0\nspec: 1.1.0-rc.1\n",
            Release(20260928, 0),
            id="official",
        ),
        pytest.param(
            "runsc version 0.0~20240729.0\nspec: 1.1.0", Release(20240729, 0), id="debian"
        ),
        pytest.param("runsc version VERSION_MISSING\nspec: 1.1.0", None, id="missing"),
        pytest.param("runsc version release-20260928.0-12-g3f2a1b0", None, id="nightly"),
        pytest.param("", None, id="nothing"),
        pytest.param("runc version 1.1.15\nspec: 1.0.2", None, id="another-program"),
        pytest.param("runsc version release-20260928.0x", None, id="something-behind"),
        pytest.param("not runsc: runsc version 20260928.0", None, id="no-prefix"),
    ],
)
def test_a_printed_version_names_a_release_or_none(printed: str, release: Release | None) -> None:
    assert printed_release(printed) == release
