"""Nothing, reload or restart: the least force that brings daemon.json into force."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from tests.unit.answers import LATER_S, RUNSC, after, applied, info, node

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


@pytest.mark.parametrize(
    ("wanted", "force"),
    [
        pytest.param({}, Force.NOTHING, id="nothing"),
        pytest.param(LIVE, Force.RELOAD, id="live-restore"),
        pytest.param(RUNTIME, Force.RELOAD, id="runtimes"),
        pytest.param({"debug": True}, Force.RELOAD, id="debug"),
        pytest.param({"labels": ["a=b"]}, Force.RELOAD, id="labels"),
        pytest.param(PROXY_OFF, Force.RESTART, id="userland-proxy"),
        pytest.param({"log-opts": {"tag": "x"}}, Force.RESTART, id="log-opts"),
        pytest.param({"mtu": 1400}, Force.RESTART, id="mtu"),
        pytest.param({**LIVE, **PROXY_OFF}, Force.RESTART, id="both"),
    ],
)
def test_a_plain_node_needs_what_its_new_keys_need(wanted: dict[str, Json], force: Force) -> None:
    plan = plan_daemon_json(node(), wanted)

    assert plan.action is force
    assert plan.changes is bool(wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(LIVE, id="after-a-reload"),
        pytest.param(PROXY_OFF, id="after-a-restart"),
        pytest.param(ALL, id="after-everything"),
        pytest.param({"runtimes": {}}, id="after-an-empty-object"),
        pytest.param({"default-runtime": "runc"}, id="after-what-is-the-default-anyway"),
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        pytest.param(None, id="no-file"),
        pytest.param('{"dns": ["1.1.1.1"], "log-opts": {"tag": "t"}}', id="foreign-keys"),
        pytest.param('{"live-restore": true, "userland-proxy": false}', id="as-wanted-already"),
    ],
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


def test_a_restart_that_is_new_does_not_say_so() -> None:
    reasons = plan_daemon_json(node(), PROXY_OFF).reasons

    assert reasons == (
        "restart, because dockerd reads these keys only at its start: /userland-proxy",
    )


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


@pytest.mark.parametrize(
    ("docker", "force"),
    [
        pytest.param(info(live_restore=True, runtimes={"runsc": RUNSC}), Force.NOTHING, id="same"),
        pytest.param(info(live_restore=True), Force.RELOAD, id="runtime-not-registered"),
        pytest.param(
            info(live_restore=True, runtimes={"runsc": {"path": "/usr/local/bin/runsc"}}),
            Force.RELOAD,
            id="runtime-at-another-path",
        ),
        pytest.param(
            info(live_restore=False, runtimes={"runsc": RUNSC}),
            Force.RELOAD,
            id="live-restore-is-off",
        ),
        pytest.param(
            info(live_restore=True, runtimes={"runsc": {**RUNSC, "runtimeArgs": ["--debug"]}}),
            Force.RELOAD,
            id="runtime-with-arguments",
        ),
        pytest.param(
            info(live_restore=True, runtimes={"runsc": {**RUNSC, "status": {"x": "y"}}}),
            Force.NOTHING,
            id="docker-28-adds-a-status",
        ),
    ],
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
