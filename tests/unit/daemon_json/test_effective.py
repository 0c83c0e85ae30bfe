"""Nothing, reload or restart: the least force that brings daemon.json into force."""

from __future__ import annotations

import json
from typing import Any

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.effective import known
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from tests.table import table
from tests.unit.answers import EARLIER_S, LATER_S, RUNSC, STARTED_S, after, applied, info, node

PROXY_OFF: dict[str, Json] = {"userland-proxy": False}
LIVE: dict[str, Json] = {"live-restore": True}
RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}

# What a deploy wants by default.
ALL: dict[str, Json] = {
    **PROXY_OFF,
    **LIVE,
    **RUNTIME,
    "no-new-privileges": True,
    "log-opts": {"max-size": "10m"},
}


@table(
    "wanted, force",
    {
        "nothing": ({}, Force.NOTHING),
        "live-restore": (LIVE, Force.RELOAD),
        "runtimes": (RUNTIME, Force.RELOAD),
        "debug": ({"debug": True}, Force.RELOAD),
        "labels": ({"labels": ["a=b"]}, Force.RELOAD),
        "userland-proxy": (PROXY_OFF, Force.RESTART),
        "log-opts": ({"log-opts": {"tag": "x"}}, Force.RESTART),
        "mtu": ({"mtu": 1400}, Force.RESTART),
        "both": ({**LIVE, **PROXY_OFF}, Force.RESTART),
    },
)
def test_a_plain_node_needs_what_its_new_keys_need(wanted: dict[str, Json], force: Force) -> None:
    plan = plan_daemon_json(node(), wanted)

    assert plan.action is force
    assert plan.changes is bool(wanted)


@table(
    "wanted",
    {
        "after-a-reload": LIVE,
        "after-a-restart": PROXY_OFF,
        "after-everything": ALL,
        "after-an-empty-object": {"runtimes": {}},
        "after-what-is-the-default-anyway": {"default-runtime": "runc"},
    },
)
@table(
    "before",
    {
        "no-file": None,
        "foreign-keys": '{"dns": ["1.1.1.1"], "log-opts": {"tag": "t"}}',
        "as-wanted-already": '{"live-restore": true, "userland-proxy": false}',
    },
)
def test_a_second_run_changes_nothing(before: str | None, wanted: dict[str, Json]) -> None:
    live = "live-restore" in (before or "")
    first = plan_daemon_json(node(daemon_json=before, docker=info(live_restore=live)), wanted)

    second = plan_daemon_json(node(**after(first)), wanted)

    assert not second.changes
    assert second.action is Force.NOTHING
    assert (second.reasons, second.drifted, second.left, second.neutral) == ((), (), (), None)


def test_what_a_node_has_already_is_written_down_as_ours_without_any_force() -> None:
    text = '{"userland-proxy": false}'

    plan = plan_daemon_json(node(daemon_json=text), PROXY_OFF)

    assert plan.action is Force.NOTHING
    assert plan.after == text
    assert plan.changes
    assert "/userland-proxy" in plan.owned.paths


def test_each_force_names_its_own_keys_and_what_stays_until_containers_are_made_anew() -> None:
    wanted = {**PROXY_OFF, **LIVE, "log-opts": {"max-size": "10m"}}

    reasons = plan_daemon_json(node(), wanted).reasons

    assert reasons == (
        (
            "restart, because dockerd reads these keys only at its start: /log-opts/max-size, "
            "/userland-proxy"
        ),
        "reload (SIGHUP) applies: /live-restore",
        "existing containers keep the old value until they are recreated: /log-opts/max-size",
    )


def test_a_key_that_somebody_else_edited_after_the_start_is_not_restarted_for() -> None:
    found = node(
        daemon_json='{"userland-proxy": false, "dns": ["9.9.9.9"]}',
        mtime_s=LATER_S,
        state={"applied": applied({"userland-proxy": False, "dns": ["1.1.1.1"]})},
    )

    plan = plan_daemon_json(found, PROXY_OFF)

    assert plan.action is Force.NOTHING


@table(
    "docker, force",
    {
        "same": (info(live_restore=True, runtimes={"runsc": RUNSC}), Force.NOTHING),
        "runtime-not-registered": (info(live_restore=True), Force.RELOAD),
        "runtime-at-another-path": (
            info(live_restore=True, runtimes={"runsc": {"path": "/usr/local/bin/runsc"}}),
            Force.RELOAD,
        ),
        "live-restore-is-off": (info(live_restore=False, runtimes={"runsc": RUNSC}), Force.RELOAD),
        "runtime-with-arguments": (
            info(live_restore=True, runtimes={"runsc": {**RUNSC, "runtimeArgs": ["--debug"]}}),
            Force.RELOAD,
        ),
        "docker-28-adds-a-status": (
            info(live_restore=True, runtimes={"runsc": {**RUNSC, "status": {"x": "y"}}}),
            Force.NOTHING,
        ),
    },
)
def test_a_reload_that_dockerd_refused_is_owed_where_file_and_daemon_differ(
    docker: dict[str, Any], force: Force
) -> None:
    wanted = {**LIVE, **RUNTIME}
    settled = after(plan_daemon_json(node(), wanted))

    plan = plan_daemon_json(node(**{**settled, "docker": docker}), wanted)

    assert plan.action is force


def test_a_default_runtime_that_is_not_in_force_is_owed_a_reload() -> None:
    wanted = {**RUNTIME, "default-runtime": "runsc"}
    settled = after(plan_daemon_json(node(docker=info(runtimes={"runsc": RUNSC})), wanted))
    settled["docker"] = info(runtimes={"runsc": RUNSC}, default_runtime="runc")

    plan = plan_daemon_json(node(**settled), wanted)

    assert plan.action is Force.RELOAD


def test_a_runtime_of_the_old_form_is_replaced_by_a_reload() -> None:
    old = {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--network=host"]}
    text = '{"runtimes": {"runsc": {"path": "/usr/local/bin/runsc", "runtimeArgs": []}}}'

    plan = plan_daemon_json(node(daemon_json=text, docker=info(runtimes={"runsc": old})), RUNTIME)

    assert plan.action is Force.RELOAD
    assert plan.after == '{"runtimes": {"runsc": {"path": "' + RUNSC["path"] + '"}}}'


def test_giving_back_a_key_that_is_read_at_start_needs_a_restart() -> None:
    installed = after(plan_daemon_json(node(), PROXY_OFF))

    plan = plan_daemon_json(node(**installed), {})

    assert plan.action is Force.RESTART
    assert plan.after is None


def test_where_no_dockerd_runs_it_will_start_with_the_file() -> None:
    found = node(daemon_json="{}", without=("dockerd", "clock", "info"))

    plan = plan_daemon_json(found, {**PROXY_OFF, **LIVE})

    assert plan.after is not None
    assert plan.action is Force.RESTART


DEBUG: dict[str, Json] = {"debug": True}


@table(
    "given, force",
    {
        "record-says-started-without-it": (
            {"mtime_s": LATER_S, "state": {"applied": applied({})}},
            Force.RESTART,
        ),
        "written-after-the-start": ({"mtime_s": LATER_S}, Force.RESTART),
        "record-of-another-process": (
            {"mtime_s": LATER_S, "state": {"applied": applied({}, "another/812/1")}},
            Force.RESTART,
        ),
        "record-does-not-know": (
            {"mtime_s": LATER_S, "state": {"applied": applied(None)}},
            Force.RESTART,
        ),
        "dockerd-restarted-by-somebody": (
            {"mtime_s": EARLIER_S, "state": {"applied": applied({}, "another/812/1")}},
            Force.NOTHING,
        ),
        "started-with-the-file": ({"mtime_s": EARLIER_S}, Force.NOTHING),
        "written-in-that-very-second": ({"mtime_s": STARTED_S}, Force.RESTART),
        "written-a-second-before": ({"mtime_s": STARTED_S - 1}, Force.NOTHING),
        "record-says-started-with-it": (
            {"mtime_s": LATER_S, "state": {"applied": applied(PROXY_OFF)}},
            Force.NOTHING,
        ),
        "record-says-started-with-another-value": (
            {"mtime_s": LATER_S, "state": {"applied": applied({"userland-proxy": True})}},
            Force.RESTART,
        ),
    },
)
def test_whether_a_restart_is_owed_is_decided_from_what_dockerd_started_with(
    given: dict[str, Any], force: Force
) -> None:
    found = node(daemon_json='{"userland-proxy": false}', **given)

    plan = plan_daemon_json(found, PROXY_OFF)

    assert plan.action is force
    assert plan.before == plan.after


@table(
    "given, force",
    {
        "record-says-loaded-without-it": (
            {"mtime_s": LATER_S, "state": {"applied": {**applied({}), "loaded": {}}}},
            Force.RELOAD,
        ),
        "record-says-loaded-with-it": (
            {"mtime_s": LATER_S, "state": {"applied": {**applied({}), "loaded": DEBUG}}},
            Force.NOTHING,
        ),
        "written-after-the-start": ({"mtime_s": LATER_S}, Force.RELOAD),
        "started-with-the-file": ({"mtime_s": EARLIER_S}, Force.NOTHING),
        "dockerd-restarted-by-somebody": (
            {
                "mtime_s": EARLIER_S,
                "state": {"applied": {**applied({}, "another/812/1"), "loaded": {}}},
            },
            Force.NOTHING,
        ),
        "record-does-not-know": (
            {"mtime_s": LATER_S, "state": {"applied": applied({})}},
            Force.RELOAD,
        ),
    },
)
def test_whether_a_reload_is_owed_is_decided_from_what_dockerd_last_loaded(
    given: dict[str, Any], force: Force
) -> None:
    plan = plan_daemon_json(node(daemon_json='{"debug": true}', **given), DEBUG)

    assert plan.action is force
    assert plan.before == plan.after


def test_after_a_restart_everything_that_dockerd_reads_at_start_is_on_record() -> None:
    found = node(daemon_json='{"dns": ["1.1.1.1"], "debug": true}')

    plan = plan_daemon_json(found, PROXY_OFF)

    assert plan.started_with == {"dns": ["1.1.1.1"], "userland-proxy": False}


@table(
    "wanted, loaded",
    {
        "reload": (LIVE, {"debug": True, "live-restore": True}),
        "restart": (PROXY_OFF, {"debug": True}),
        "nothing": ({}, {"debug": True}),
    },
)
def test_what_dockerd_will_have_loaded_is_on_record(
    wanted: dict[str, Json], loaded: dict[str, Json]
) -> None:
    found = node(daemon_json='{"dns": ["1.1.1.1"], "debug": true}')

    assert plan_daemon_json(found, wanted).loaded == loaded


STORE: dict[str, Json] = {"containerd-snapshotter": True}
BUILDKIT: dict[str, Json] = {"buildkit": True}


def test_of_the_features_each_member_is_on_record_where_dockerd_read_it() -> None:
    plan = plan_daemon_json(node(), {"features": {**STORE, **BUILDKIT}})

    assert plan.action is Force.RESTART
    assert (plan.started_with, plan.loaded) == ({"features": STORE}, {"features": BUILDKIT})


@table(
    "features, started_with, loaded, force",
    {
        "store-only-loaded": (STORE, {}, {"features": STORE}, Force.RESTART),
        "store-since-the-start": (STORE, {"features": STORE}, {}, Force.NOTHING),
        "another-feature": (BUILDKIT, {"features": STORE}, {}, Force.RELOAD),
        "that-is-loaded": (BUILDKIT, {}, {"features": BUILDKIT}, Force.NOTHING),
        "none": ({}, {}, {"features": {}}, Force.NOTHING),
    },
)
def test_each_feature_is_in_force_by_what_dockerd_read_it_at(
    features: dict[str, Json],
    started_with: dict[str, Json],
    loaded: dict[str, Json],
    force: Force,
) -> None:
    wanted: dict[str, Json] = {"features": features}
    record = {**applied(started_with), "loaded": loaded}
    found = node(daemon_json=json.dumps(wanted), mtime_s=LATER_S, state={"applied": record})

    assert plan_daemon_json(found, wanted).action is force


@table(
    "features, started_with, loaded",
    {
        "read-at-the-start": (STORE, {"features": STORE}, {}),
        "reloaded": (BUILDKIT, {}, {"features": BUILDKIT}),
        "none": ({}, {}, {"features": {}}),
    },
)
def test_features_are_known_from_a_file_that_is_older_than_dockerd(
    features: dict[str, Json], started_with: dict[str, Json], loaded: dict[str, Json]
) -> None:
    found = node(daemon_json=json.dumps({"features": features}), mtime_s=EARLIER_S)

    assert known(found, Force.RESTART) == started_with
    assert known(found, Force.RELOAD) == loaded
    assert plan_daemon_json(found, {"features": features}).action is Force.NOTHING


def test_a_feature_that_is_read_at_the_start_is_owed_where_no_restart_is_allowed() -> None:
    plan = plan_daemon_json(node(), {"features": {**STORE, **BUILDKIT}}, restart="reload")

    assert plan.action is Force.RELOAD
    assert plan.unapplied == ("/features/containerd-snapshotter",)


def test_a_reload_leaves_on_record_what_dockerd_was_started_with() -> None:
    found = node(daemon_json='{"dns": ["1.1.1.1"]}', mtime_s=EARLIER_S)

    plan = plan_daemon_json(found, LIVE)

    assert plan.started_with == {"dns": ["1.1.1.1"]}


def test_a_dockerd_without_a_file_was_started_with_no_key() -> None:
    plan = plan_daemon_json(node(), LIVE)

    assert plan.started_with == {}
