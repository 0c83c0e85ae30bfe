"""Nothing, reload or restart: the least force that brings daemon.json into force."""

import json
from typing import Any

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from tests.table import table
from tests.unit.answers import EARLIER_S, IDENTITY, LATER_S, RUNSC, STARTED_S, after, info, node

PROXY = "userland-proxy"
PROXY_OFF: dict[str, Json] = {PROXY: False}
LIVE: dict[str, Json] = {"live-restore": True}
DEBUG: dict[str, Json] = {"debug": True}
RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}

# What a deploy wants by default.
ALL: dict[str, Json] = {**PROXY_OFF, **LIVE, **RUNTIME, "log-opts": {"max-size": "10m"}}


@table(
    "wanted",
    after_everything=ALL,
    after_an_empty_object={"runtimes": {}},
    after_what_is_the_default_anyway={"default-runtime": "runc"},
)
@table(
    "before",
    no_file=None,
    foreign_keys='{"dns": ["1.1.1.1"], "log-opts": {"tag": "t"}}',
    as_wanted_already='{"live-restore": true, "userland-proxy": false}',
)
def test_a_second_run_changes_nothing(before: str | None, wanted: dict[str, Json]) -> None:
    live = "live-restore" in (before or "")
    first = plan_daemon_json(node(daemon_json=before, docker=info(live_restore=live)), wanted)

    second = plan_daemon_json(node(**after(first)), wanted)

    assert not second.changes
    assert (second.reasons, second.drifted, second.left, second.neutral) == ((), (), (), None)


@table(
    "live, runtimes, default, force",
    same=(True, {"runsc": RUNSC}, "runsc", Force.NOTHING),
    runtime_not_registered=(True, {}, "runsc", Force.RELOAD),
    runtime_at_another_path=(True, {"runsc": {"path": "/x"}}, "runsc", Force.RELOAD),
    live_restore_is_off=(False, {"runsc": RUNSC}, "runsc", Force.RELOAD),
    another_default=(True, {"runsc": RUNSC}, "runc", Force.RELOAD),
    arguments=(True, {"runsc": {**RUNSC, "runtimeArgs": ["--debug"]}}, "runsc", Force.RELOAD),
    docker_28_adds_a_status=(
        True,
        {"runsc": {**RUNSC, "status": {"x": "y"}}},
        "runsc",
        Force.NOTHING,
    ),
)
def test_a_reload_that_dockerd_refused_is_owed_where_file_and_daemon_differ(
    live: bool, runtimes: dict[str, Any], default: str, force: Force
) -> None:
    wanted: dict[str, Json] = {**LIVE, **RUNTIME, "default-runtime": "runsc"}
    settled = after(plan_daemon_json(node(), wanted))
    settled["docker"] = info(live_restore=live, runtimes=runtimes, default_runtime=default)

    assert plan_daemon_json(node(**settled), wanted).action is force


def test_a_runtime_of_the_old_form_is_replaced_by_a_reload() -> None:
    old = {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--network=host"]}
    text = '{"runtimes": {"runsc": {"path": "/usr/local/bin/runsc", "runtimeArgs": []}}}'

    plan = plan_daemon_json(node(daemon_json=text, docker=info(runtimes={"runsc": old})), RUNTIME)

    assert plan.action is Force.RELOAD
    assert plan.after == '{"runtimes": {"runsc": {"path": "' + RUNSC["path"] + '"}}}'


def test_where_no_dockerd_runs_it_will_start_with_the_file() -> None:
    found = node(daemon_json="{}", without=("dockerd", "clock", "info"))

    plan = plan_daemon_json(found, {**PROXY_OFF, **LIVE})

    assert plan.after is not None
    assert plan.action is Force.RESTART


def recorded(*started_with: dict[str, Json] | None, by: str = IDENTITY) -> dict[str, Any]:
    """A file that was written after the start, and a record of what dockerd has read, if any."""
    names = ("started_with", "loaded")
    record = dict(zip(names, started_with, strict=False))
    return {"mtime_s": LATER_S, "state": {"applied": {"dockerd": by, **record}}}


@table(
    "given, wanted, force",
    written_after_the_start=({"mtime_s": LATER_S}, PROXY_OFF, Force.RESTART),
    written_in_that_very_second=({"mtime_s": STARTED_S}, PROXY_OFF, Force.RESTART),
    written_a_second_before=({"mtime_s": STARTED_S - 1}, PROXY_OFF, Force.NOTHING),
    started_without_it=(recorded({}), PROXY_OFF, Force.RESTART),
    started_with_it=(recorded(PROXY_OFF), PROXY_OFF, Force.NOTHING),
    started_with_another_value=(recorded({PROXY: True}), PROXY_OFF, Force.RESTART),
    record_does_not_know=(recorded(None), PROXY_OFF, Force.RESTART),
    record_of_another_process=(recorded(PROXY_OFF, by="a/1/1"), PROXY_OFF, Force.RESTART),
    restarted_by_somebody=(
        {**recorded({}, {}, by="a/1/1"), "mtime_s": EARLIER_S},
        PROXY_OFF,
        Force.NOTHING,
    ),
    loaded_without_it=(recorded({}, {}), DEBUG, Force.RELOAD),
    loaded_with_it=(recorded({}, DEBUG), DEBUG, Force.NOTHING),
    record_does_not_know_what_was_loaded=(recorded({}), DEBUG, Force.RELOAD),
)
def test_what_is_owed_is_decided_from_what_dockerd_started_with_or_last_loaded(
    given: dict[str, Any], wanted: dict[str, Json], force: Force
) -> None:
    plan = plan_daemon_json(node(daemon_json=json.dumps(wanted), **given), wanted)

    assert plan.action is force
    assert plan.before == plan.after
    assert plan.changes, "now it is ours"


DNS: dict[str, Json] = {"dns": ["1.1.1.1"]}
STORE: dict[str, Json] = {"containerd-snapshotter": True}
BUILDKIT: dict[str, Json] = {"buildkit": True}
FEATURES: dict[str, Json] = {"features": {**STORE, **BUILDKIT}}


@table(
    "text, wanted, restart, started_with, loaded",
    no_file=(None, LIVE, "auto", {}, LIVE),
    nothing=(DNS | DEBUG, {}, "auto", DNS, DEBUG),
    reload=(DNS | DEBUG, LIVE, "auto", DNS, LIVE | DEBUG),
    restart=(DNS | DEBUG, PROXY_OFF, "auto", DNS | PROXY_OFF, DEBUG),
    restart_left_owed=(DNS, PROXY_OFF | LIVE, "reload", DNS, LIVE),
    one_feature=({"features": STORE}, {}, "auto", {"features": STORE}, {}),
    features=(None, FEATURES, "auto", {"features": STORE}, {"features": BUILDKIT}),
)
def test_what_dockerd_was_started_with_and_will_have_loaded_is_on_record(
    text: dict[str, Json] | None,
    wanted: dict[str, Json],
    restart: Restart,
    started_with: dict[str, Json],
    loaded: dict[str, Json],
) -> None:
    found = node(daemon_json=None if text is None else json.dumps(text))

    plan = plan_daemon_json(found, wanted, restart=restart)

    assert (plan.started_with, plan.loaded) == (started_with, loaded)


@table(
    "features, started_with, loaded, force",
    store_only_loaded=(STORE, {}, {"features": STORE}, Force.RESTART),
    store_since_the_start=(STORE, {"features": STORE}, {}, Force.NOTHING),
    another_feature=(BUILDKIT, {"features": STORE}, {}, Force.RELOAD),
    that_is_loaded=(BUILDKIT, {}, {"features": BUILDKIT}, Force.NOTHING),
    none=({}, {}, {"features": {}}, Force.NOTHING),
)
def test_each_feature_is_in_force_by_what_dockerd_read_it_at(
    features: dict[str, Json],
    started_with: dict[str, Json],
    loaded: dict[str, Json],
    force: Force,
) -> None:
    text = json.dumps({"features": features})

    found = node(daemon_json=text, **recorded(started_with, loaded))
    unknown = node(daemon_json=text, mtime_s=EARLIER_S)

    assert plan_daemon_json(found, {"features": features}).action is force
    assert plan_daemon_json(unknown, {"features": features}).action is Force.NOTHING
