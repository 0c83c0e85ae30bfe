"""Which old releases go: only what nothing on the node needs."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.preflight.collection import (
    END,
    old_releases,
    on_other_releases,
    parse_release_users,
    plan_collection,
)
from tests.unit.answers import Running, info, node

NOW, OLD, OLDER, OLDEST = "20260928.0", "20260914.0", "20260831.10", "20260831.9"
ALL = [NOW, OLD, OLDER, OLDEST]


def path(release: str, name: str = "runsc") -> str:
    """A wrapper of this release."""
    return f"/opt/gvisor/runtimes/{name}-{release}-0a1b2c3d"


def sandbox(name: str, release: str) -> Running:
    """A container whose process is a sandbox of this release."""
    executable = f"/opt/gvisor/releases/{release}/runsc"
    return Running(name, pid=sum(name.encode()), executable=executable, argv0="runsc-sandbox")


@pytest.mark.parametrize(
    ("keep", "old"),
    [
        pytest.param(1, (OLD, OLDER, OLDEST), id="only-the-present-one"),
        pytest.param(2, (OLDER, OLDEST), id="one-beside-it"),
        pytest.param(4, (), id="all"),
        pytest.param(9, (), id="more-than-there-are"),
    ],
)
def test_the_newest_stay_by_date_and_number(keep: int, old: tuple[str, ...]) -> None:
    assert old_releases(node(releases=ALL), NOW, keep) == old


def test_the_present_release_stays_even_if_newer_ones_are_there() -> None:
    assert old_releases(node(releases=ALL), OLDEST, 1) == (NOW, OLD, OLDER)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"containers": [sandbox("shop", OLDEST)]}, id="container"),
        pytest.param({"docker": info(runtimes={"x": {"path": path(OLDEST)}})}, id="runtime"),
        pytest.param(
            {"daemon_json": f'{{"runtimes": {{"x": {{"path": "{path(OLDEST)}"}}}}}}'}, id="file"
        ),
    ],
)
def test_what_is_seen_to_be_used_is_not_asked_about(given: dict[str, Any]) -> None:
    assert old_releases(node(releases=ALL, **given), NOW, 2) == (OLDER,)


def test_a_damaged_release_and_one_with_a_strange_name_are_old_too() -> None:
    assert old_releases(node(releases=[NOW], damaged=[OLD, "backup"]), NOW, 1) == (OLD, "backup")


def test_processes_shims_and_generations_are_read_as_releases() -> None:
    output = [
        f"/opt/gvisor/releases/{OLD}/gvisor-bin/gvisor_sentry",
        f"/opt/gvisor/releases/{NOW}/runsc (deleted)",
        path(OLDER),
        "/opt/gvisor/runtimes/somebody-elses",
        END,
    ]

    assert parse_release_users(output) == {NOW, OLD, OLDER}


def test_an_answer_that_breaks_off_is_none() -> None:
    with pytest.raises(ValueError, match="ends after 1 lines"):
        parse_release_users([path(OLD)])


def test_what_nothing_needs_goes_wrappers_first_and_the_rest_is_named() -> None:
    wrappers = {path(release): "0" * 64 for release in (NOW, OLDER, OLDEST)}
    found = node(releases=ALL, wrappers={**wrappers, path("20250101.0"): "0" * 64})

    plan = plan_collection(found, (OLDER, OLDEST), frozenset({OLDER}))

    assert plan.going == (path(OLDEST), path("20250101.0"), f"/opt/gvisor/releases/{OLDEST}")
    assert plan.kept == (OLDER,)


def test_containers_that_still_run_on_other_releases_are_listed_oldest_first() -> None:
    found = node(
        releases=ALL,
        containers=[
            sandbox("shop", OLD),
            sandbox("blog", NOW),
            sandbox("forum", OLDEST),
            sandbox("wiki", OLDEST),
            Running("db", pid=99),
        ],
    )

    assert list(on_other_releases(found, NOW).items()) == [
        (OLDEST, ("forum", "wiki")),
        (OLD, ("shop",)),
    ]
