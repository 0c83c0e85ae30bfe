"""A release is proven under a temporary name first, and leaves nothing to go back to."""

from __future__ import annotations

import json

from pyinfra_gvisor.daemon_json.generations import Generation, choose, plan_generation
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import CANARY, Owned
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.preflight.canary import canaries, plan_canaries
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.cases.proven import DEFAULTS, PROFILES, RELEASE, WANTED, converged
from tests.unit.answers import after, info, node

OLD = "20260831.0"
PROFILE = PROFILES["runsc"]
OLD_PATH = wrapper("runsc", OLD, PROFILE).path
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
    return after(plan_canaries(node(**converged()), OLD, {"runsccanary": PROFILE}))


def test_giving_up_takes_the_temporary_name_away_by_reload_to_the_byte() -> None:
    plan = plan_canaries(node(**tried()), OLD, {})

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
