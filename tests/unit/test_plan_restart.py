"""``restart``: made where it is needed, left owed, or refused."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from tests.unit.answers import RUNSC, after, info, node

PROXY_OFF: dict[str, Json] = {"userland-proxy": False}
LIVE: dict[str, Json] = {"live-restore": True}
SWARM: dict[str, Json] = {"LocalNodeState": "active"}
BOTH: dict[str, Json] = {**PROXY_OFF, **LIVE}
POLICIES = [pytest.param(name, id=name) for name in ("auto", "reload", "never")]


@pytest.mark.parametrize(
    ("wanted", "restart", "force", "owed"),
    [
        pytest.param(PROXY_OFF, "auto", Force.RESTART, (), id="restarted"),
        pytest.param(PROXY_OFF, "reload", Force.NOTHING, ("/userland-proxy",), id="owed"),
        pytest.param(BOTH, "auto", Force.RESTART, (), id="both-restarted"),
        pytest.param(BOTH, "reload", Force.RELOAD, ("/userland-proxy",), id="reloaded-and-owed"),
        pytest.param(LIVE, "reload", Force.RELOAD, (), id="nothing-owed"),
        pytest.param(LIVE, "never", Force.RELOAD, (), id="a-reload-is-no-restart"),
    ],
)
def test_a_restart_is_made_or_owed_as_the_policy_says(
    wanted: dict[str, Json], restart: Restart, force: Force, owed: tuple[str, ...]
) -> None:
    plan = plan_daemon_json(node(), wanted, restart=restart)

    assert plan.action is force
    assert plan.unapplied == owed
    assert plan.changes


@pytest.mark.parametrize(
    ("given", "restart", "force"),
    [
        pytest.param({}, "auto", Force.RESTART, id="restarted"),
        pytest.param({}, "reload", Force.RELOAD, id="reload-only"),
        pytest.param({}, "never", Force.RELOAD, id="never"),
        pytest.param({"Swarm": SWARM}, "auto", Force.RELOAD, id="in-a-swarm"),
    ],
)
def test_a_docker_that_loses_something_at_a_reload_is_restarted_where_that_ends_nothing(
    given: dict[str, Json], restart: Restart, force: Force
) -> None:
    found = node(docker=info(ServerVersion="28.5.2", **given))

    plan = plan_daemon_json(found, {"debug": True}, restart=restart)

    assert plan.action is force
    assert plan_daemon_json(found, {}, restart=restart).action is Force.NOTHING


def test_what_needs_a_restart_is_refused_where_none_is_allowed() -> None:
    message = (
        r"^the change needs a restart of dockerd, which is not allowed here, got /mtu, "
        r"/userland-proxy; "
        r'.*gvisor_restart = "auto", or "reload"'
    )

    with pytest.raises(Problem, match=message):
        plan_daemon_json(node(), {**BOTH, "mtu": 1400}, restart="never")


@pytest.mark.parametrize("restart", POLICIES)
def test_where_everything_is_in_force_no_policy_changes_anything(restart: Restart) -> None:
    settled = node(**after(plan_daemon_json(node(), BOTH)))

    plan = plan_daemon_json(settled, BOTH, restart=restart)

    assert not plan.changes
    assert plan.unapplied == ()


@pytest.mark.parametrize(
    "wanted", [pytest.param(PROXY_OFF, id="only-owed"), pytest.param(BOTH, id="owed-and-reloaded")]
)
def test_a_second_run_still_owes_the_restart_and_changes_nothing(wanted: dict[str, Json]) -> None:
    first = plan_daemon_json(node(), wanted, restart="reload")

    second = plan_daemon_json(node(**after(first)), wanted, restart="reload")

    assert not second.changes
    assert second.unapplied == ("/userland-proxy",)
    assert second.reasons == ("take effect when dockerd is restarted: /userland-proxy",)


def test_an_owed_restart_is_made_as_soon_as_it_is_allowed() -> None:
    left = node(**after(plan_daemon_json(node(), BOTH, restart="reload")))

    plan = plan_daemon_json(left, BOTH)

    assert plan.action is Force.RESTART
    assert plan.before == plan.after
    assert plan.unapplied == ()
    assert "already in the file, but dockerd was started without them" in plan.reasons[0]


def test_an_owed_restart_is_refused_where_none_is_allowed() -> None:
    left = node(**after(plan_daemon_json(node(), BOTH, restart="reload")))

    with pytest.raises(Problem, match="got /userland-proxy; "):
        plan_daemon_json(left, BOTH, restart="never")


def test_an_owed_restart_that_somebody_made_is_owed_no_longer() -> None:
    given = after(plan_daemon_json(node(), BOTH, restart="reload"))
    given["mtime_s"], given["ticks"] = 0, 60_000

    plan = plan_daemon_json(node(**given), BOTH, restart="reload")

    assert (plan.changes, plan.unapplied) == (False, ())


def test_what_is_owed_to_one_owner_is_no_reason_for_another_to_restart() -> None:
    left = node(**after(plan_daemon_json(node(), PROXY_OFF, owner="other", restart="reload")))

    plan = plan_daemon_json(left, LIVE)

    assert plan.action is Force.RELOAD
    assert plan.unapplied == ("/userland-proxy",)


def test_a_key_that_is_given_back_without_its_restart_stays_owed() -> None:
    settled = node(**after(plan_daemon_json(node(), BOTH)))

    plan = plan_daemon_json(settled, LIVE, restart="reload")
    again = plan_daemon_json(node(**after(plan)), LIVE, restart="reload")

    assert plan.action is again.action is Force.NOTHING
    assert plan.unapplied == again.unapplied == ("/userland-proxy",)
    assert "userland-proxy" not in (plan.after or "")
    assert not again.changes


def test_a_foreign_key_that_was_changed_since_the_start_is_owed_and_left() -> None:
    settled = node(**after(plan_daemon_json(node(), LIVE)))
    edited = settled.daemon_json.model_copy(update={"text": '{"live-restore": true, "icc": false}'})

    plan = plan_daemon_json(settled.model_copy(update={"daemon_json": edited}), LIVE)

    assert plan.unapplied == ("/icc",)
    assert plan.action is Force.NOTHING


@pytest.mark.parametrize(
    ("before", "restart", "neutral"),
    [
        pytest.param(LIVE, "auto", True, id="a-reload"),
        pytest.param(BOTH, "auto", False, id="a-restart-reads-all-anew"),
        pytest.param(BOTH, "reload", True, id="a-reload-instead-of-a-restart"),
        pytest.param(PROXY_OFF, "reload", False, id="nothing-that-a-reload-would-read"),
        pytest.param({"runtimes": {"runsc": RUNSC}}, "never", True, id="runtimes"),
    ],
)
def test_values_are_made_ineffective_first_only_where_a_reload_would_keep_them(
    before: dict[str, Json], restart: Restart, neutral: bool
) -> None:
    settled = node(**after(plan_daemon_json(node(), before)))

    plan = plan_daemon_json(settled, {}, restart=restart)

    assert (plan.neutral is not None) is neutral


def test_a_reload_does_not_claim_that_dockerd_was_started_with_what_is_owed() -> None:
    found = node(daemon_json='{"mtu": 1400}')

    plan = plan_daemon_json(found, BOTH, restart="reload")

    assert plan.started_with == {"mtu": 1400}
    assert plan.loaded == LIVE
