"""Which steps a node needs: the trial of a release, and the removal of old ones."""

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
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.arguments import Data
from tests.cases.proven import DEFAULTS, PROFILES, RELEASE, WANTED, converged, proven
from tests.table import table
from tests.unit.answers import Running, after, compact, info, node

NOW, OLD, OLDER, OLDEST = "20260928.0", "20260914.0", "20260831.10", "20260831.9"
ALL = [NOW, OLD, OLDER, OLDEST]


PROFILE, PLAIN = PROFILES["runsc"], Runtime(network="none")
OLD_PATH = wrapper("runsc", OLDER, PROFILE).path
NEW_PATH = wrapper("runsc", RELEASE, PROFILE).path
THEIRS = {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--network=host"]}


def path(release: str, name: str = "runsc") -> str:
    """A wrapper of this release."""
    return f"/opt/gvisor/runtimes/{name}-{release}-0a1b2c3d"


def sandbox(name: str, release: str) -> Running:
    """A container whose process is a sandbox of this release."""
    executable = f"/opt/gvisor/releases/{release}/runsc"
    return Running(name, pid=sum(name.encode()), executable=executable, argv0="runsc-sandbox")


@table(
    "now, keep, old",
    only_the_present_one=(NOW, 1, (OLD, OLDER, OLDEST)),
    one_beside_it=(NOW, 2, (OLDER, OLDEST)),
    more_than_there_are=(NOW, 9, ()),
    though_newer_ones_are_there=(OLDEST, 1, (NOW, OLD, OLDER)),
)
def test_the_present_one_and_the_newest_stay_by_date_and_number(
    now: str, keep: int, old: tuple[str, ...]
) -> None:
    assert old_releases(node(releases=ALL), now, keep) == old


@table(
    "given",
    container={"containers": [sandbox("shop", OLDEST)]},
    runtime={"docker": info(runtimes={"x": {"path": path(OLDEST)}})},
    file={"daemon_json": compact({"runtimes": {"x": {"path": path(OLDEST)}}})},
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
    names = {"shop": OLDEST, "blog": NOW, "forum": OLD, "wiki": OLDEST}
    running = [sandbox(name, release) for name, release in names.items()]

    found = on_other_releases(node(releases=ALL, containers=[*running, Running("db", pid=99)]), NOW)

    assert list(found.items()) == [(OLDEST, ("shop", "wiki")), (OLD, ("forum",))]


def test_docker_is_a_step_only_where_it_is_missing_or_a_change_was_interrupted() -> None:
    assert not needs_engine(node())
    assert needs_engine(node(without=("info",)))
    assert needs_engine(node(pending=""))


@table(
    "given, release, expected",
    plain=({}, RELEASE, False),
    as_declared=(proven(), RELEASE, False),
    another_release=(proven(), OLDER, True),
    interrupted=({"pending": ""}, RELEASE, True),
    without_docker=({"without": ("info",)}, RELEASE, False),
    docker_to_come=({"without": ("info",), "daemon_json": "{}"}, RELEASE, True),
)
def test_a_release_is_tried_only_where_a_runtime_may_be_switched(
    given: dict[str, Any], release: str, expected: bool
) -> None:
    assert needs_trial(node(**given), release, PROFILES) is expected


@table(
    "given, expected",
    as_declared=(proven(), False),
    old_release=({"releases": [OLDER]}, True),
    wrapper_of_no_release=({"wrappers": {OLD_PATH: "0" * 64}}, True),
)
def test_releases_are_removed_only_where_there_is_another_one(given: Data, expected: bool) -> None:
    assert needs_collection(node(**given), RELEASE) is expected


@table(
    "runtimes, profiles, tried",
    another_path=({"runsc": {"path": OLD_PATH}}, PROFILES, {"runsccanary": PROFILE}),
    somebody_elses_set_up=({"runsc": THEIRS}, PROFILES, {"runsccanary": PROFILE}),
    other_flags=({"runsc": {"path": NEW_PATH}}, {"runsc": PLAIN}, {"runsccanary": PLAIN}),
    none_of_them=({"runsc": {"path": NEW_PATH}}, {**PROFILES, "fresh": PLAIN}, {}),
)
def test_a_runtime_in_use_for_another_path_is_tried_under_a_temporary_name(
    runtimes: dict[str, Any], profiles: dict[str, Runtime], tried: dict[str, Runtime]
) -> None:
    assert canaries(node(docker=info(runtimes=runtimes)), RELEASE, profiles) == tried
    assert canaries(node(without=("info", "dockerd", "clock")), RELEASE, profiles) == {}


def test_the_very_wrapper_is_registered_beside_what_is_there_by_reload() -> None:
    found = node(**converged())
    due = {"runsccanary": PLAIN}

    plan = plan_canaries(found, RELEASE, due)

    entries = json.loads(plan.after or "")["runtimes"]
    path = wrapper("runsc", RELEASE, due["runsccanary"]).path
    assert entries == {"runsc": {"path": NEW_PATH}, "runsccanary": {"path": path}}
    assert (plan.action, plan.temporary) == (Force.RELOAD, True)
    assert plan.owned.paths["/runtimes/runsccanary"].owners == (CANARY,)


def tried() -> dict[str, object]:
    """What ``answer`` needs for a node on which a release is being tried."""
    return after(plan_canaries(node(**converged()), OLDER, {"runsccanary": PROFILE}))


def test_giving_up_and_the_next_change_of_ours_take_the_temporary_name_away_by_reload() -> None:
    given_up = plan_canaries(node(**tried()), OLDER, {})
    changed = plan_daemon_json(node(**tried()), WANTED, if_absent=DEFAULTS)

    for plan in (given_up, changed):
        assert (plan.after, plan.action) == (converged()["daemon_json"], Force.RELOAD)
    assert (given_up.temporary, changed.temporary) == (True, False)


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
