"""What dockerd has read, at its start and since: known from our record or the file's age."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.effective import known
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from tests.unit.answers import EARLIER_S, LATER_S, STARTED_S, applied, node

PROXY_OFF: dict[str, Json] = {"userland-proxy": False}
LIVE: dict[str, Json] = {"live-restore": True}
DEBUG: dict[str, Json] = {"debug": True}


@pytest.mark.parametrize(
    ("given", "force"),
    [
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": applied({})}},
            Force.RESTART,
            id="record-says-started-without-it",
        ),
        pytest.param({"mtime_s": LATER_S}, Force.RESTART, id="written-after-the-start"),
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": applied({}, "another/812/1")}},
            Force.RESTART,
            id="record-of-another-process",
        ),
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": applied(None)}},
            Force.RESTART,
            id="record-does-not-know",
        ),
        pytest.param(
            {"mtime_s": EARLIER_S, "state": {"applied": applied({}, "another/812/1")}},
            Force.NOTHING,
            id="dockerd-restarted-by-somebody",
        ),
        pytest.param({"mtime_s": EARLIER_S}, Force.NOTHING, id="started-with-the-file"),
        pytest.param({"mtime_s": STARTED_S}, Force.RESTART, id="written-in-that-very-second"),
        pytest.param({"mtime_s": STARTED_S - 1}, Force.NOTHING, id="written-a-second-before"),
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": applied(PROXY_OFF)}},
            Force.NOTHING,
            id="record-says-started-with-it",
        ),
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": applied({"userland-proxy": True})}},
            Force.RESTART,
            id="record-says-started-with-another-value",
        ),
    ],
)
def test_whether_a_restart_is_owed_is_decided_from_what_dockerd_started_with(
    given: dict[str, Any], force: Force
) -> None:
    found = node(daemon_json='{"userland-proxy": false}', **given)

    plan = plan_daemon_json(found, PROXY_OFF)

    assert plan.action is force
    assert plan.before == plan.after


@pytest.mark.parametrize(
    ("given", "force"),
    [
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": {**applied({}), "loaded": {}}}},
            Force.RELOAD,
            id="record-says-loaded-without-it",
        ),
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": {**applied({}), "loaded": DEBUG}}},
            Force.NOTHING,
            id="record-says-loaded-with-it",
        ),
        pytest.param({"mtime_s": LATER_S}, Force.RELOAD, id="written-after-the-start"),
        pytest.param({"mtime_s": EARLIER_S}, Force.NOTHING, id="started-with-the-file"),
        pytest.param(
            {
                "mtime_s": EARLIER_S,
                "state": {"applied": {**applied({}, "another/812/1"), "loaded": {}}},
            },
            Force.NOTHING,
            id="dockerd-restarted-by-somebody",
        ),
        pytest.param(
            {"mtime_s": LATER_S, "state": {"applied": applied({})}},
            Force.RELOAD,
            id="record-does-not-know",
        ),
    ],
)
def test_whether_a_reload_is_owed_is_decided_from_what_dockerd_last_loaded(
    given: dict[str, Any], force: Force
) -> None:
    plan = plan_daemon_json(node(daemon_json='{"debug": true}', **given), DEBUG)

    assert plan.action is force
    assert plan.before == plan.after


def test_a_restart_that_is_owed_says_that_the_file_has_it_already() -> None:
    found = node(daemon_json='{"userland-proxy": false}', mtime_s=LATER_S)

    reasons = plan_daemon_json(found, PROXY_OFF).reasons

    assert len(reasons) == 1
    assert "already in the file" in reasons[0]
    assert reasons[0].endswith("/userland-proxy")


def test_after_a_restart_everything_that_dockerd_reads_at_start_is_on_record() -> None:
    found = node(daemon_json='{"dns": ["1.1.1.1"], "debug": true}')

    plan = plan_daemon_json(found, PROXY_OFF)

    assert plan.started_with == {"dns": ["1.1.1.1"], "userland-proxy": False}


@pytest.mark.parametrize(
    ("wanted", "loaded"),
    [
        pytest.param(LIVE, {"debug": True, "live-restore": True}, id="reload"),
        pytest.param(PROXY_OFF, {"debug": True}, id="restart"),
        pytest.param({}, {"debug": True}, id="nothing"),
    ],
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


@pytest.mark.parametrize(
    ("features", "started_with", "loaded", "force"),
    [
        pytest.param(STORE, {}, {"features": STORE}, Force.RESTART, id="store-only-loaded"),
        pytest.param(STORE, {"features": STORE}, {}, Force.NOTHING, id="store-since-the-start"),
        pytest.param(BUILDKIT, {"features": STORE}, {}, Force.RELOAD, id="another-feature"),
        pytest.param(BUILDKIT, {}, {"features": BUILDKIT}, Force.NOTHING, id="that-is-loaded"),
        pytest.param({}, {}, {"features": {}}, Force.NOTHING, id="none"),
    ],
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


@pytest.mark.parametrize(
    ("features", "started_with", "loaded"),
    [
        pytest.param(STORE, {"features": STORE}, {}, id="read-at-the-start"),
        pytest.param(BUILDKIT, {}, {"features": BUILDKIT}, id="reloaded"),
        pytest.param({}, {}, {"features": {}}, id="none"),
    ],
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
