"""Several owners in one daemon.json: each has keys of its own and leaves those of others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import GVISOR, Merge, Owned, flatten, merge
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from tests.unit.answers import after, node

MIRROR: dict[str, Json] = {"registry-mirrors": ["https://mirror.example"]}
LIVE: dict[str, Json] = {"live-restore": True}


def bring(
    text: str | None, wanted: dict[str, Json], owner: str, earlier: Merge | None = None
) -> Merge:
    """One run of one owner, with the record of an earlier run of anybody."""
    return merge(text, earlier.owned if earlier else Owned(), flatten(wanted), owner=owner)


def value(merged: Merge) -> Any:
    """The file, read."""
    return json.loads(merged.text or "null")


def test_two_owners_of_different_keys_keep_to_themselves() -> None:
    ours = bring('{"dns": []}', LIVE, GVISOR)

    both = bring(ours.text, MIRROR, "mirrors", ours)

    assert value(both) == {"dns": [], **LIVE, **MIRROR}
    assert both.owned.of(GVISOR) == [("live-restore",)]
    assert both.owned.of("mirrors") == [("registry-mirrors",)]


@pytest.mark.parametrize(
    ("goes", "left"),
    [pytest.param(GVISOR, MIRROR, id="first"), pytest.param("mirrors", LIVE, id="second")],
)
def test_an_owner_that_goes_takes_its_own_keys_and_no_others(
    goes: str, left: dict[str, Json]
) -> None:
    ours = bring('{"dns": []}', LIVE, GVISOR)
    both = bring(ours.text, MIRROR, "mirrors", ours)

    one = bring(both.text, {}, goes, both)

    assert value(one) == {"dns": [], **left}
    assert one.owned.of(goes) == []


def test_owners_of_entries_of_one_object_share_it_until_the_last_one_goes() -> None:
    first = bring("{}", {"log-opts": {"max-size": "10m"}}, "one")
    both = bring(first.text, {"log-opts": {"max-file": "3"}}, "two", first)

    left = bring(both.text, {}, "one", both)
    gone = bring(left.text, {}, "two", left)

    assert value(both) == {"log-opts": {"max-size": "10m", "max-file": "3"}}
    assert value(left) == {"log-opts": {"max-file": "3"}}
    assert gone.text == "{}"


def test_one_value_that_two_want_is_gone_only_when_the_last_lets_it_go() -> None:
    ours = bring('{"live-restore": false}', LIVE, GVISOR)
    both = bring(ours.text, LIVE, "other", ours)

    one = bring(both.text, {}, GVISOR, both)
    none = bring(one.text, {}, "other", one)

    assert both.owned.paths["/live-restore"].owners == (GVISOR, "other")
    assert one.owned.paths["/live-restore"].owners == ("other",)
    assert value(one) == LIVE
    assert none.text == '{"live-restore": false}'


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        pytest.param(
            LIVE,
            {"live-restore": False},
            r"^/live-restore has another owner, mirrors, which declares another value of "
            r"/live-restore, got False; ",
            id="another-value",
        ),
        pytest.param(
            {"live-restore": 1},
            LIVE,
            "^/live-restore has another owner, mirrors",
            id="true-is-not-one",
        ),
        pytest.param(
            {"runtimes": {"x": {"path": "/x"}}},
            {"runtimes": {"x": {"path": "/y"}}},
            "^/runtimes/x has another owner, mirrors",
            id="an-entry",
        ),
        pytest.param(
            {"log-opts": {"a": "1"}},
            {"log-opts": {}},
            "^/log-opts has another owner, mirrors, which declares another value of /log-opts/a",
            id="the-whole-of-an-entry",
        ),
        pytest.param(
            {"log-opts": {}},
            {"log-opts": {"a": "1"}},
            "^/log-opts/a has another owner, mirrors, which declares another value of /log-opts",
            id="an-entry-of-the-whole",
        ),
    ],
)
def test_what_somebody_else_owns_with_another_value_is_refused_by_its_owners_name(
    first: dict[str, Json], second: dict[str, Json], message: str
) -> None:
    theirs = bring("{}", first, "mirrors")

    with pytest.raises(Problem, match=message):
        bring(theirs.text, second, GVISOR, theirs)


def test_a_name_that_begins_like_anothers_is_no_conflict() -> None:
    theirs = bring("{}", {"log": "x"}, "mirrors")

    both = bring(theirs.text, {"log-opts": {"a": "1"}, "logs": 1}, GVISOR, theirs)

    assert value(both) == {"log": "x", "log-opts": {"a": "1"}, "logs": 1}


def test_an_owner_of_one_value_with_another_may_not_change_it_alone() -> None:
    ours = bring("{}", LIVE, GVISOR)
    both = bring(ours.text, LIVE, "other", ours)

    with pytest.raises(Problem, match="has another owner, other"):
        bring(both.text, {"live-restore": False}, GVISOR, both)


def test_what_somebody_changed_in_anothers_key_is_for_that_owner_to_set_back() -> None:
    ours = bring("{}", LIVE, GVISOR)
    both = bring(ours.text, MIRROR, "mirrors", ours)
    edited = json.dumps({"live-restore": False, **MIRROR})

    theirs = bring(edited, MIRROR, "mirrors", both)
    mine = bring(theirs.text, LIVE, GVISOR, theirs)

    assert (theirs.text, theirs.drifted, theirs.left) == (edited, (), ())
    assert mine.drifted == ("/live-restore",)
    assert value(mine) == {**LIVE, **MIRROR}


def test_a_file_that_nobody_had_goes_with_the_last_owner() -> None:
    ours = bring(None, LIVE, GVISOR)
    both = bring(ours.text, MIRROR, "mirrors", ours)

    one = bring(both.text, {}, GVISOR, both)
    none = bring(one.text, {}, "mirrors", one)

    assert value(one) == MIRROR
    assert (none.text, none.owned) == (None, Owned())


def test_a_record_of_version_1_belongs_to_gvisor() -> None:
    record = {
        "version": 1,
        "original": "{}",
        "paths": {"/live-restore": {"wrote": True, "before": None}},
    }

    owned = Owned.load(record)

    assert owned.of(GVISOR) == [("live-restore",)]
    assert owned.version == 2
    assert owned == bring("{}", LIVE, GVISOR).owned.model_copy(update={"written": ()})


def test_a_second_run_of_either_owner_changes_nothing() -> None:
    ours = plan_daemon_json(node(), LIVE)
    both = plan_daemon_json(node(**after(ours)), MIRROR, owner="mirrors")
    found = node(**after(both))

    again = [plan_daemon_json(found, LIVE), plan_daemon_json(found, MIRROR, owner="mirrors")]

    assert [plan.changes for plan in again] == [False, False]


@pytest.mark.parametrize(
    ("owner", "wanted"),
    [pytest.param("mirrors", {}, id="another"), pytest.param(GVISOR, LIVE, id="itself")],
)
def test_a_key_that_is_only_for_nodes_without_one_is_taken_by_whoever_is_there_first(
    owner: str, wanted: dict[str, Json]
) -> None:
    first = plan_daemon_json(node(), LIVE)
    found = node(**after(first))

    plan = plan_daemon_json(found, {}, if_absent={"live-restore": True}, owner=owner)

    assert plan.after == first.after
    assert plan.owned.of(owner) == list(flatten(wanted))


@pytest.mark.parametrize(
    "first", [pytest.param(GVISOR, id="ours"), pytest.param("mirrors", id="theirs")]
)
def test_a_refusal_of_one_owner_leaves_the_other_as_it_was(first: str) -> None:
    found = node(**after(plan_daemon_json(node(), LIVE, owner=first)))

    with pytest.raises(Problem, match=f"has another owner, {first}"):
        plan_daemon_json(found, {"live-restore": False}, owner="third")
    assert not plan_daemon_json(found, LIVE, owner=first).changes
