"""What is owed: by a run that died in the middle, and by a restart that may not be made."""

import re
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, plan_daemon_json
from tests.table import table
from tests.unit.answers import LATER_S, RUNSC, after, info, node, records

ORIGINAL = '{\n  "dns": ["1.1.1.1"]\n}\n'
EVERYTHING: dict[str, Json] = {
    "live-restore": True,
    "userland-proxy": False,
    "runtimes": {"runsc": RUNSC},
}


def died(plan: Plan, before: dict[str, Any], text: str | None) -> dict[str, Any]:
    """The node when the script was killed after it had written down its intent, and ``text``."""
    intent = records(plan, node(**before))["intent"]
    state = {**before.get("state", {}), "owned": intent}
    return {**before, "daemon_json": text, "mtime_s": LATER_S, "state": state}


@table(
    "wanted",
    live_restore={"live-restore": True},
    runtimes={"runtimes": {"runsc": RUNSC}},
    debug={"debug": True},
)
def test_an_installation_that_died_before_its_reload_is_reloaded(wanted: dict[str, Json]) -> None:
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), {"shutdown-timeout": 20}))
    plan = plan_daemon_json(node(**before), {"shutdown-timeout": 20, **wanted})
    left = node(**died(plan, before, plan.after))

    assert plan_daemon_json(left, {"shutdown-timeout": 20, **wanted}).action is Force.RELOAD


def test_a_runtime_whose_removal_died_before_its_reload_is_unregistered() -> None:
    both = {"runtimes": {"runsc": RUNSC, "net": {"path": "/opt/net"}}}
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), both))
    plan = plan_daemon_json(node(**before), {"runtimes": {"runsc": RUNSC}})
    left = node(**died(plan, before, plan.after))

    again = plan_daemon_json(left, {"runtimes": {"runsc": RUNSC}})

    assert plan.neutral is None
    assert again.after == plan.after
    assert again.action is Force.RELOAD


@table(
    "wanted, version",
    live_restore=({"live-restore": True}, "29.8.2"),
    no_registries=({"insecure-registries": ["x:1"]}, "29.9.0"),
    default_registries=({"insecure-registries": ["x:1"]}, "29.10.0"),
)
def test_a_removal_that_died_at_the_neutral_values_still_gives_the_original_back(
    wanted: dict[str, Json], version: str
) -> None:
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), wanted))
    before["docker"]["ServerVersion"] = version
    plan = plan_daemon_json(node(**before), {})
    left = died(plan, before, plan.neutral)
    left["docker"] = info(ServerVersion=version)

    again = plan_daemon_json(node(**left), {})

    assert plan.neutral is not None
    assert again.after == ORIGINAL


def test_an_installation_on_a_daemon_that_somebody_restarted_meanwhile_owes_nothing() -> None:
    before = {"daemon_json": ORIGINAL}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    given = died(plan, before, plan.after)
    docker = info(live_restore=True, runtimes={"runsc": RUNSC})
    left = node(**{**given, "docker": docker, "ticks": 60_000})

    again = plan_daemon_json(left, EVERYTHING)

    assert again.action is Force.NOTHING
    assert again.after == plan.after


@table(
    "record",
    null=None,
    a_list=[],
    text="x",
    wrong_types={"dockerd": 3, "started_with": "x"},
)
def test_a_damaged_record_of_what_was_applied_counts_as_none(record: object) -> None:
    found = node(daemon_json="{}", state={"applied": record})

    assert plan_daemon_json(found, {"userland-proxy": False}).action is Force.RESTART


@table(
    "original",
    usual=ORIGINAL,
    nothing_but_white_space="{ }\n",
    an_empty_object='{"runtimes": {\n}, "dns": []}',
)
@table("written", file=True, no_file=False)
def test_an_installation_that_died_anywhere_is_finished_and_its_original_comes_back_to_the_byte(
    original: str, written: bool
) -> None:
    before = {"daemon_json": original}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    left = node(**died(plan, before, plan.after if written else original))

    again = plan_daemon_json(left, EVERYTHING)
    removed = plan_daemon_json(node(**after(again)), {})

    assert (again.after, again.action) == (plan.after, Force.RESTART)
    assert removed.after == original


@table(
    "wanted, expected",
    removed=({}, ORIGINAL),
    wanted_still=({"runtimes": {"runsc": RUNSC}}, None),
)
def test_a_change_that_died_before_it_wrote_the_file_leaves_the_old_value_ours(
    wanted: dict[str, Json], expected: str | None
) -> None:
    older: dict[str, Json] = {"runtimes": {"runsc": {"path": "/opt/older"}}}
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), older))
    plan = plan_daemon_json(node(**before), {"runtimes": {"runsc": RUNSC}})
    left = node(**died(plan, before, before["daemon_json"]))

    again = plan_daemon_json(left, wanted)

    assert again.after == (plan.after if expected is None else expected)
    assert (again.drifted, again.left) == ((), ())


PROXY_OFF: dict[str, Json] = {"userland-proxy": False}
LIVE: dict[str, Json] = {"live-restore": True}
FEATURES: dict[str, Json] = {"features": {"containerd-snapshotter": True, "buildkit": True}}
BOTH: dict[str, Json] = {**PROXY_OFF, **LIVE}


@table(
    "wanted, restart, force, owed",
    restarted=(BOTH, "auto", Force.RESTART, ()),
    owed=(PROXY_OFF, "reload", Force.NOTHING, ("/userland-proxy",)),
    reloaded_and_owed=(BOTH, "reload", Force.RELOAD, ("/userland-proxy",)),
    of_features_too=(FEATURES, "reload", Force.RELOAD, ("/features/containerd-snapshotter",)),
    a_reload_is_no_restart=(LIVE, "never", Force.RELOAD, ()),
)
def test_a_restart_is_made_or_owed_as_the_policy_says(
    wanted: dict[str, Json], restart: Restart, force: Force, owed: tuple[str, ...]
) -> None:
    plan = plan_daemon_json(node(), wanted, restart=restart)

    assert (plan.action, plan.unapplied) == (force, owed)
    assert plan.changes


@table(
    "restart, force, owed, reason",
    made=("auto", Force.RESTART, (), "restart, .*already in the file, but dockerd"),
    still_owed=("reload", Force.NOTHING, ("/userland-proxy",), "take effect when dockerd is"),
)
def test_an_owed_restart_is_made_as_soon_as_it_is_allowed(
    restart: Restart, force: Force, owed: tuple[str, ...], reason: str
) -> None:
    left = node(**after(plan_daemon_json(node(), BOTH, restart="reload")))

    plan = plan_daemon_json(left, BOTH, restart=restart)

    assert (plan.action, plan.unapplied, plan.before) == (force, owed, plan.after)
    assert plan.changes is bool(force)
    assert re.match(reason, plan.reasons[0])
    with pytest.raises(Problem, match="got /userland-proxy; "):
        plan_daemon_json(left, BOTH, restart="never")


@table(
    "given, restart, force",
    restarted=({}, "auto", Force.RESTART),
    reload_only=({}, "reload", Force.RELOAD),
    never=({}, "never", Force.RELOAD),
    in_a_swarm=({"swarm": "active"}, "auto", Force.RELOAD),
)
def test_a_docker_that_loses_something_at_a_reload_is_restarted_where_that_ends_nothing(
    given: dict[str, str], restart: Restart, force: Force
) -> None:
    found = node(docker=info(ServerVersion="28.5.2", **given))

    assert plan_daemon_json(found, {"debug": True}, restart=restart).action is force
    assert plan_daemon_json(found, {}, restart=restart).action is Force.NOTHING


def test_what_needs_a_restart_is_refused_where_none_is_allowed() -> None:
    said = "^the change needs a restart of dockerd, which is not allowed here, got /mtu, /userland"

    with pytest.raises(Problem, match=f'{said}-proxy; .*gvisor_restart = "auto", or "reload"'):
        plan_daemon_json(node(), {**BOTH, "mtu": 1400}, restart="never")


@table("restart", reload="reload", never="never")
def test_an_owed_restart_that_somebody_made_is_owed_no_longer(restart: Restart) -> None:
    given = after(plan_daemon_json(node(), BOTH, restart="reload"))
    given["mtime_s"], given["ticks"] = 0, 60_000

    plan = plan_daemon_json(node(**given), BOTH, restart=restart)

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
    given = after(plan_daemon_json(node(), LIVE))
    given["daemon_json"] = '{"live-restore": true, "icc": false}'

    plan = plan_daemon_json(node(**given), LIVE)

    assert (plan.unapplied, plan.action) == (("/icc",), Force.NOTHING)


@table(
    "before, restart, neutral",
    a_reload=(LIVE, "auto", True),
    a_restart_reads_all_anew=(BOTH, "auto", False),
    a_reload_instead_of_a_restart=(BOTH, "reload", True),
    nothing_that_a_reload_would_read=(PROXY_OFF, "reload", False),
    runtimes=({"runtimes": {"runsc": RUNSC}}, "never", True),
)
def test_values_are_made_ineffective_first_only_where_a_reload_would_keep_them(
    before: dict[str, Json], restart: Restart, neutral: bool
) -> None:
    settled = node(**after(plan_daemon_json(node(), before)))

    assert (plan_daemon_json(settled, {}, restart=restart).neutral is not None) is neutral
