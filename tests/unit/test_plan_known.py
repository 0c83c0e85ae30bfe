"""What dockerd has read, at its start and since: known from our record or the file's age."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.dockerd_keys import Force
from pyinfra_gvisor.json_text import Json
from pyinfra_gvisor.plan import plan_daemon_json
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


def test_a_reload_leaves_on_record_what_dockerd_was_started_with() -> None:
    found = node(daemon_json='{"dns": ["1.1.1.1"]}', mtime_s=EARLIER_S)

    plan = plan_daemon_json(found, LIVE)

    assert plan.started_with == {"dns": ["1.1.1.1"]}


def test_a_dockerd_without_a_file_was_started_with_no_key() -> None:
    plan = plan_daemon_json(node(), LIVE)

    assert plan.started_with == {}
