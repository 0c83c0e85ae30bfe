"""Which steps a node needs: the trial of a release, and the removal of old ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.daemon_json.generations import Generation, choose, plan_generation
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import CANARY, Owned
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.planning.canary import canaries, plan_canaries
from pyinfra_gvisor.planning.collection import (
    END,
    old_releases,
    on_other_releases,
    parse_release_users,
    plan_collection,
)
from pyinfra_gvisor.planning.steps import needs_collection, needs_engine, needs_trial
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper, wrappers
from tests.cases.proven import DEFAULTS, PROFILES, RELEASE, WANTED, converged, proven
from tests.unit.answers import Running, after, info, node

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


def test_docker_is_a_step_only_where_it_is_missing_or_a_change_was_interrupted() -> None:
    assert not needs_engine(node())
    assert needs_engine(node(without=("info",)))
    assert needs_engine(node(pending=""))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, False, id="plain"),
        pytest.param(proven(), False, id="as-declared"),
        pytest.param({"pending": ""}, True, id="interrupted"),
        pytest.param({"without": ("info",)}, False, id="without-docker"),
        pytest.param({"without": ("info",), "daemon_json": "{}"}, True, id="docker-to-come"),
    ],
)
def test_a_release_is_tried_only_where_a_runtime_may_be_switched(
    given: dict[str, Any], expected: bool
) -> None:
    assert needs_trial(node(**given), RELEASE, PROFILES) is expected


def test_a_runtime_of_another_release_is_switched_and_so_tried() -> None:
    assert needs_trial(node(**proven()), OLDER, PROFILES)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, False, id="plain"),
        pytest.param(proven(), False, id="as-declared"),
        pytest.param({"releases": [OLDER]}, True, id="old-release"),
        pytest.param(
            {"wrappers": {item.path: item.sha256 for item in wrappers(OLDER, PROFILES)}},
            True,
            id="wrapper-of-no-release",
        ),
    ],
)
def test_releases_are_removed_only_where_there_is_another_one(
    given: dict[str, Any], expected: bool
) -> None:
    assert needs_collection(node(**given), RELEASE) is expected


PROFILE = PROFILES["runsc"]
OLD_PATH = wrapper("runsc", OLDER, PROFILE).path
NEW_PATH = wrapper("runsc", RELEASE, PROFILE).path


def test_a_runtime_in_use_for_another_path_is_tried_under_a_temporary_name() -> None:
    found = node(docker=info(runtimes={"runsc": {"path": OLD_PATH}}))

    assert canaries(found, RELEASE, PROFILES) == {"runsccanary": PROFILE}


def test_a_runtime_of_somebody_elses_set_up_is_in_use_too() -> None:
    given = {"runsc": {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--network=host"]}}

    assert list(canaries(node(docker=info(runtimes=given)), RELEASE, PROFILES)) == ["runsccanary"]


def test_names_that_nobody_can_use_yet_and_those_that_stay_are_not_tried() -> None:
    found = node(docker=info(runtimes={"runsc": {"path": NEW_PATH}}))

    assert canaries(found, RELEASE, {**PROFILES, "fresh": Runtime(network="none")}) == {}
    assert canaries(node(without=("info", "dockerd", "clock")), RELEASE, PROFILES) == {}


def test_other_flags_of_the_same_release_are_tried_as_well() -> None:
    found = node(docker=info(runtimes={"runsc": {"path": NEW_PATH}}))

    assert list(canaries(found, RELEASE, {"runsc": Runtime(network="none")})) == ["runsccanary"]


def test_the_very_wrapper_is_registered_beside_what_is_there_by_reload() -> None:
    found = node(**converged())
    due = {"runsccanary": Runtime(network="none")}

    plan = plan_canaries(found, RELEASE, due)

    entries = json.loads(plan.after or "")["runtimes"]
    path = wrapper("runsc", RELEASE, due["runsccanary"]).path
    assert entries == {"runsc": {"path": NEW_PATH}, "runsccanary": {"path": path}}
    assert (plan.action, plan.temporary) == (Force.RELOAD, True)
    assert plan.owned.paths["/runtimes/runsccanary"].owners == (CANARY,)


def tried() -> dict[str, object]:
    """What ``answer`` needs for a node on which a release is being tried."""
    return after(plan_canaries(node(**converged()), OLDER, {"runsccanary": PROFILE}))


def test_giving_up_takes_the_temporary_name_away_by_reload_to_the_byte() -> None:
    plan = plan_canaries(node(**tried()), OLDER, {})

    assert (plan.after, plan.action) == (converged()["daemon_json"], Force.RELOAD)
    assert plan.temporary


def test_the_next_change_of_ours_takes_a_temporary_name_away() -> None:
    plan = plan_daemon_json(node(**tried()), WANTED, if_absent=DEFAULTS)

    assert plan.after == converged()["daemon_json"]
    assert plan.action is Force.RELOAD
    assert not plan.temporary


def test_anothers_change_leaves_a_temporary_name_alone() -> None:
    plan = plan_daemon_json(node(**tried()), {"debug": True}, owner="others")

    assert "runsccanary" in json.loads(plan.after or "")["runtimes"]


def test_going_back_to_what_was_before_the_switch_does_not_bring_the_temporary_name_back() -> None:
    now = node(**converged())
    then = node(**tried())
    kept = Generation(
        number=4, made_s=1, text=then.daemon_json.text, owned=Owned.load(then.state["owned"])
    )

    plan = plan_generation(now, choose([kept], now, None))

    assert not plan.changes or "runsccanary" not in (plan.after or "")
    assert kept.runtimes == {"runsc": RELEASE}
