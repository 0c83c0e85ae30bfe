"""Going back to a generation: what is ours as it was, what others did since as it is."""

import json
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.generations import Generation, plan_generation
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import GVISOR, Owned
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.records import owned_by_us
from tests.table import table
from tests.unit.answers import after, info, node, records

ORIGINAL = '{\n  "dns": ["1.1.1.1"]\n}\n'
OLD: dict[str, Json] = {"runtimes": {"runsc": {"path": "/old"}}, "live-restore": True}
NEW: dict[str, Json] = {"runtimes": {"runsc": {"path": "/new"}}, "live-restore": True}
MIRROR: dict[str, Json] = {"registry-mirrors": ["https://mirror.example"]}
EARLIER: dict[str, Json] = {"registry-mirrors": ["https://earlier.example"]}
BARE: dict[str, Any] = {"daemon_json": ORIGINAL}


def changed(given: dict[str, Any], wanted: dict[str, Json], owner: str = GVISOR) -> dict[str, Any]:
    """The node after one more change."""
    return after(plan_daemon_json(node(**given), wanted, owner=owner))


def left(given: dict[str, Any], number: int = 1) -> Generation:
    """What the node kept of itself, when it was changed."""
    return Generation(
        number=number,
        made_s=1_700_000_000,
        text=given["daemon_json"],
        owned=owned_by_us(node(**given)),
    )


def edited(given: dict[str, Any], key: str, value: Json) -> dict[str, Any]:
    """The node after somebody has set a key by hand."""
    return {**given, "daemon_json": JsonText(given["daemon_json"]).set((key,), value).text}


@table(
    "key, value, kept, drifted",
    of_theirs_stays=("dns", ["9.9.9.9"], {"dns": ["9.9.9.9"]}, ()),
    of_ours_is_told=("live-restore", False, {"dns": ["1.1.1.1"]}, ("/live-restore",)),
)
def test_what_others_have_changed_since_stays_or_is_told(
    key: str, value: Json, kept: dict[str, Json], drifted: tuple[str, ...]
) -> None:
    old = changed(BARE, OLD)
    new = edited(changed(old, NEW), key, value)

    plan = plan_generation(node(**new), left(old))

    assert json.loads(plan.after or "") == {**kept, **OLD}
    assert (plan.drifted, plan.left) == (drifted, ())


def test_a_key_that_became_ours_since_and_that_somebody_changed_is_left_to_them() -> None:
    new = edited(changed(BARE, NEW), "live-restore", value=False)
    new["docker"] = info(runtimes={"runsc": {"path": "/new"}})

    plan = plan_generation(node(**new), left(BARE))

    assert json.loads(plan.after or "") == {"dns": ["1.1.1.1"], "live-restore": False}
    assert plan.left == ("/live-restore",)


def test_going_back_and_forth_by_a_reload_gives_the_same_file_and_is_written_down() -> None:
    old = changed(BARE, {**OLD, "userland-proxy": False})
    new = changed(old, {**NEW, "userland-proxy": False})

    back = plan_generation(node(**new), left(old, number=4))
    taken = after(back)
    again = plan_generation(node(**taken), left(old, number=4))
    forth = plan_generation(node(**taken), left(new, number=5))
    onwards = plan_daemon_json(node(**taken), NEW)

    assert (back.action, forth.action, again.changes) == (Force.RELOAD, Force.RELOAD, False)
    assert (back.after, forth.after) == (old["daemon_json"], new["daemon_json"])
    assert records(back, node(**new))["applied"]["generation"] == back.generation == 4
    assert records(onwards, node(**taken))["applied"]["generation"] is None


@table("original", file=ORIGINAL, no_file=None)
def test_before_us_there_was_the_original_to_the_byte(original: str | None) -> None:
    bare: dict[str, Any] = {"daemon_json": original}

    plan = plan_generation(node(**changed(changed(bare, OLD), NEW)), left(bare))

    assert (plan.after, plan.owned) == (original, Owned())


@table(
    "before, since",
    another_value=(EARLIER, MIRROR),
    came_later=({}, MIRROR),
    has_gone=(MIRROR, {}),
)
def test_every_owner_has_again_what_it_had(before: dict[str, Json], since: dict[str, Json]) -> None:
    both = changed(changed(BARE, OLD), before, "mirrors")
    new = changed(changed(both, NEW), since, "mirrors")

    plan = plan_generation(node(**new), left(both))

    assert json.loads(plan.after or "") == {"dns": ["1.1.1.1"], **OLD, **before}
    assert set(plan.owned.of(GVISOR)) == {("runtimes", "runsc"), ("live-restore",)}
    assert plan.owned.of("mirrors") == [("registry-mirrors",)] * bool(before)


@table(
    "before, since",
    handed_on=(("a",), ("b",)),
    handed_back=(("b",), ("a",)),
    agreed_on_another_value=(("a", "b"), ("a", "b")),
    shared_since=(("a",), ("a", "b")),
    given_up_by_one=(("a", "b"), ("b",)),
)
def test_a_key_goes_back_to_its_owners_and_its_value_whoever_has_it_now(
    before: tuple[str, ...], since: tuple[str, ...]
) -> None:
    old = BARE
    for owner in before:
        old = changed(old, EARLIER, owner)
    new = old
    for owner in before:
        new = changed(new, {}, owner)
    for owner in since:
        new = changed(new, MIRROR, owner)

    plan = plan_generation(node(**new), left(old))

    assert plan.after == old["daemon_json"]
    assert plan.owned.paths["/registry-mirrors"].owners == before


def test_going_back_past_a_key_that_is_read_at_start_is_a_restart_or_refused_as_asked() -> None:
    new = node(**changed(BARE, {**OLD, "userland-proxy": False}))

    plans = [plan_generation(new, left(BARE), restart=item) for item in ("auto", "reload")]

    assert [plan.action for plan in plans] == [Force.RESTART, Force.RELOAD]
    assert plans[1].unapplied == ("/userland-proxy",)
    with pytest.raises(Problem, match="needs a restart of dockerd"):
        plan_generation(new, left(BARE), restart="never")


def test_what_cannot_work_on_the_node_as_it_is_now_or_writes_over_a_broken_file_is_refused() -> (
    None
):
    old = changed(BARE, OLD)
    new = {**changed(old, {}), "docker": info(swarm="active")}
    broken = {**changed(BARE, NEW), "daemon_json": '{"a" 1}'}

    with pytest.raises(Problem, match="/live-restore cannot be used in swarm mode"):
        plan_generation(node(**new), left(old))
    with pytest.raises(Problem, match="not JSON"):
        plan_generation(node(**broken), left(BARE))
