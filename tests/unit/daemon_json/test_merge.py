"""Three-way merge: what we last wrote, what is there, what is wanted; also of several owners."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path
from pyinfra_gvisor.daemon_json.merge import (
    GVISOR,
    Merge,
    Owned,
    OwnedPath,
    flatten,
    intent,
    merge,
    same,
)
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from tests.table import table
from tests.unit.answers import after, node


def bring(text: str | None, wanted: dict[str, Json], earlier: Merge | None = None) -> Merge:
    """One run, with the record of an earlier one."""
    return merge(text, earlier.owned if earlier else Owned(), flatten(wanted))


@table(
    "wanted, paths",
    {
        "a-value": ({"debug": True}, {("debug",): True}),
        "an-object-entry-by-entry": (
            {"log-opts": {"a": "1", "b": "2"}},
            {("log-opts", "a"): "1", ("log-opts", "b"): "2"},
        ),
        "an-entry-as-a-whole": (
            {"runtimes": {"x": {"path": "/x"}}},
            {("runtimes", "x"): {"path": "/x"}},
        ),
        "an-empty-object-is-a-value": ({"runtimes": {}}, {("runtimes",): {}}),
        "a-list": ({"labels": []}, {("labels",): []}),
        "nothing": ({}, {}),
    },
)
def test_what_is_wanted_is_owned_by_key_or_by_entry(
    wanted: dict[str, Json], paths: dict[Path, Json]
) -> None:
    assert flatten(wanted) == paths


@table(
    "one, other, equal",
    {
        "true-is-not-one": (True, 1, False),
        "false-is-not-zero": (False, 0, False),
        "numbers-by-value": (1, 1.0, True),
        "inside-a-list": ([True], [1], False),
        "inside-an-object": ({"a": False}, {"a": 0}, False),
        "order-of-keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        "order-of-a-list": ([1, 2], [2, 1], False),
        "longer-list": ([1], [1, 1], False),
        "object-and-list": ({}, [], False),
        "null-and-false": (None, False, False),
        "text-and-number": ("1", 1, False),
        "null-and-nothing": ({"a": None}, {}, False),
    },
)
def test_values_are_the_same_if_json_says_so(one: Json, other: Json, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_a_file_made_by_us_stays_when_somebody_put_a_key_into_it() -> None:
    installed = bring(None, {"live-restore": True})
    edited = '{\n    "live-restore": true,\n    "dns": ["1.1.1.1"]\n}\n'

    removed = bring(edited, {}, installed)

    assert removed.text == '{\n    "dns": ["1.1.1.1"]\n}\n'


def test_a_file_that_somebody_took_away_stays_away_after_removal() -> None:
    installed = bring('{"dns": []}', {"live-restore": True})

    removed = bring(None, {}, installed)

    assert removed.text is None
    assert removed.owned == Owned()


def test_a_file_that_somebody_took_away_is_made_again_while_it_is_wanted() -> None:
    installed = bring('{"dns": []}', {"live-restore": True})

    merged = bring(None, {"live-restore": True}, installed)

    assert json.loads(merged.text or "") == {"live-restore": True}
    assert merged.drifted == ("/live-restore",)


def test_a_value_that_was_there_before_us_comes_back_as_it_was_written() -> None:
    installed = bring('{"a": 1,\n "labels" : ["x",\n   "y"]}', {"labels": []})
    edited = (installed.text or "").replace('"a": 1', '"a": 2')

    removed = bring(edited, {}, installed)

    assert installed.text == '{"a": 1,\n "labels" : []}'
    assert removed.text == '{"a": 2,\n "labels" : ["x",\n   "y"]}'


def test_a_value_that_is_as_wanted_already_is_ours_without_a_change() -> None:
    text = '{ "live-restore" :true }'

    merged = bring(text, {"live-restore": True})

    assert merged.text == text
    assert merged.owned.paths == {"/live-restore": OwnedPath(wrote=True, before="true")}


def test_a_value_that_is_as_wanted_already_stays_as_it_is_written_beside_a_change() -> None:
    merged = bring('{"labels": [ "a" ]}', {"labels": ["a"], "debug": True})

    assert merged.text == '{"labels": [ "a" ], "debug": true}'


def test_the_record_of_what_was_there_before_us_outlives_every_later_run() -> None:
    first = bring('{"live-restore": false}', {"live-restore": True})

    second = bring(first.text, {"live-restore": True, "debug": True}, first)

    assert second.owned.paths["/live-restore"].before == "false"
    assert second.owned.original == '{"live-restore": false}'


def test_a_parent_that_we_made_goes_when_the_last_of_its_entries_goes() -> None:
    first = bring('{"x": 1}', {"log-opts": {"a": "1", "b": "2"}})
    second = bring(first.text, {"log-opts": {"b": "2"}}, first)

    third = bring(second.text, {}, second)

    assert second.text == '{"x": 1, "log-opts": {"b": "2"}}'
    assert third.text == '{"x": 1}'


def test_a_parent_that_we_made_stays_when_somebody_put_an_entry_into_it() -> None:
    installed = bring('{"x": 1}', {"log-opts": {"a": "1"}})
    edited = (installed.text or "").replace('{"a": "1"}', '{"a": "1", "tag": "t"}')

    removed = bring(edited, {}, installed)

    assert removed.text == '{"x": 1, "log-opts": {"tag": "t"}}'


def test_an_empty_parent_that_was_there_before_us_stays() -> None:
    installed = bring('{"runtimes": {}, "x": 1}', {"runtimes": {"runsc": {"path": "/x"}}})
    edited = (installed.text or "").replace('"x": 1', '"x": 2')

    removed = bring(edited, {}, installed)

    assert json.loads(removed.text or "") == {"runtimes": {}, "x": 2}


def test_owning_a_key_as_a_whole_after_its_entries_still_gives_the_original_back() -> None:
    text = '{"x": 1}'
    first = bring(text, {"log-opts": {"a": "1"}})
    second = bring(first.text, {"log-opts": {}}, first)
    third = bring(second.text, {"log-opts": {"b": "2"}}, second)

    removed = bring(third.text, {}, third)

    assert removed.text == text


def test_a_key_of_ours_that_somebody_removed_is_told_and_set_again() -> None:
    installed = bring('{"x": 1}', {"live-restore": True})

    merged = bring('{"x": 1}', {"live-restore": True}, installed)

    assert merged.text == '{"x": 1, "live-restore": true}'
    assert merged.drifted == ("/live-restore",)


def test_a_new_wish_is_no_drift() -> None:
    installed = bring("{}", {"live-restore": True})

    merged = bring(installed.text, {"live-restore": False}, installed)

    assert json.loads(merged.text or "") == {"live-restore": False}
    assert merged.drifted == ()


def test_what_somebody_removed_is_not_put_back_when_nobody_wants_it() -> None:
    installed = bring('{"live-restore": false, "x": 1}', {"live-restore": True})

    removed = bring('{"x": 1}', {}, installed)

    assert removed.text == '{"x": 1}'


def test_that_somebody_wrote_the_file_is_remembered_over_our_own_changes() -> None:
    installed = bring('{"dns":["1.1.1.1"]}', {"live-restore": True})
    edited = '{\n  "dns": [ "1.1.1.1" ],\n  "live-restore": true\n}'
    changed = bring(edited, {"live-restore": False}, installed)

    removed = bring(changed.text, {}, changed)

    assert removed.text == '{\n  "dns": [ "1.1.1.1" ]\n}'


def test_a_run_that_changes_nothing_leaves_the_record_as_it_is() -> None:
    installed = bring('{"dns":["1.1.1.1"]}', {"live-restore": True})
    edited = '{\n  "dns": [ "1.1.1.1" ],\n  "live-restore": true\n}'

    again = bring(edited, {"live-restore": True}, installed)

    assert (again.text, again.owned) == (edited, installed.owned)


def test_with_nothing_wanted_and_nothing_owned_the_file_stays_as_it_is() -> None:
    text = ' {"x" :1}\r\n'

    merged = bring(text, {})

    assert merged == Merge(text=text, owned=Owned())


def test_an_entry_in_what_is_no_object_is_refused() -> None:
    with pytest.raises(Problem, match=r"^/log-opts must be an object, got \[\]$"):
        bring('{"log-opts": []}', {"log-opts": {"a": "1"}})


@table(
    "record",
    {
        "missing": {},
        "null": {"paths": None},
        "wrong-type": {"paths": 3},
        "value-missing": {"paths": {"/a": {}}},
    },
)
def test_a_record_that_cannot_be_read_is_no_empty_one(record: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="paths"):
        Owned.load(record)


def test_a_record_is_read_as_it_was_written() -> None:
    owned = bring('{"a~/b": null}', {"a~/b": 1, "log-opts": {"x": "y"}}).owned

    written = json.loads(json.dumps(owned.model_dump()))

    assert Owned.load(written) == owned


OLD = Owned(
    original='{"x": 1}',
    written=("old",),
    paths={"/a": OwnedPath(wrote=1), "/b": OwnedPath(wrote=2, before="0")},
    parents=("/p", "/q"),
)
NEW = Owned(
    original='{"x": 1}',
    written=("new",),
    paths={"/b": OwnedPath(wrote=3, before="0"), "/c": OwnedPath(wrote=4)},
    parents=("/q", "/r"),
)


def test_an_intent_claims_what_was_ours_and_what_will_be() -> None:
    claim = intent(OLD, NEW)

    assert set(claim.paths) == {"/a", "/b", "/c"}
    assert claim.paths["/b"].before == "0"
    assert claim.parents == ("/p", "/q", "/r")
    assert claim.unfinished


@table(
    "old, new, original",
    {
        "installation": (Owned(), NEW, '{"x": 1}'),
        "removal": (OLD, Owned(), '{"x": 1}'),
        "change": (OLD, NEW, '{"x": 1}'),
    },
)
def test_an_intent_keeps_the_original(old: Owned, new: Owned, original: str) -> None:
    assert intent(old, new).original == original


@table(
    "old, new, touched",
    {"nobody": (False, False, False), "before": (True, False, True), "now": (False, True, True)},
)
def test_an_intent_remembers_that_somebody_else_wrote_the_file(
    old: bool, new: bool, touched: bool
) -> None:
    claim = intent(OLD.model_copy(update={"touched": old}), NEW.model_copy(update={"touched": new}))

    assert claim.touched is touched


def test_an_intent_after_one_that_died_still_knows_the_value_before_both() -> None:
    first = Owned(paths={"/a": OwnedPath(wrote=1)})
    second = intent(first, Owned(paths={"/a": OwnedPath(wrote=2)}))

    third = intent(second, Owned(paths={"/a": OwnedPath(wrote=3)}))

    assert all(third.paths["/a"].has_written(value) for value in (1, 2, 3))
    assert not third.paths["/a"].has_written(4)


MIRROR: dict[str, Json] = {"registry-mirrors": ["https://mirror.example"]}
LIVE: dict[str, Json] = {"live-restore": True}


def bring_by(
    text: str | None, wanted: dict[str, Json], owner: str, earlier: Merge | None = None
) -> Merge:
    """One run of one owner, with the record of an earlier run of anybody."""
    return merge(text, earlier.owned if earlier else Owned(), flatten(wanted), owner=owner)


def value(merged: Merge) -> Any:
    """The file, read."""
    return json.loads(merged.text or "null")


@table(
    "first, second, message",
    {
        "another-value": (
            LIVE,
            {"live-restore": False},
            (
                r"^/live-restore has another owner, mirrors, which declares another value of "
                r"/live-restore, got False; "
            ),
        ),
        "true-is-not-one": ({"live-restore": 1}, LIVE, "^/live-restore has another owner, mirrors"),
        "an-entry": (
            {"runtimes": {"x": {"path": "/x"}}},
            {"runtimes": {"x": {"path": "/y"}}},
            "^/runtimes/x has another owner, mirrors",
        ),
        "the-whole-of-an-entry": (
            {"log-opts": {"a": "1"}},
            {"log-opts": {}},
            "^/log-opts has another owner, mirrors, which declares another value of /log-opts/a",
        ),
        "an-entry-of-the-whole": (
            {"log-opts": {}},
            {"log-opts": {"a": "1"}},
            "^/log-opts/a has another owner, mirrors, which declares another value of /log-opts",
        ),
    },
)
def test_what_somebody_else_owns_with_another_value_is_refused_by_its_owners_name(
    first: dict[str, Json], second: dict[str, Json], message: str
) -> None:
    theirs = bring_by("{}", first, "mirrors")

    with pytest.raises(Problem, match=message):
        bring_by(theirs.text, second, GVISOR, theirs)


def test_a_name_that_begins_like_anothers_is_no_conflict() -> None:
    theirs = bring_by("{}", {"log": "x"}, "mirrors")

    both = bring_by(theirs.text, {"log-opts": {"a": "1"}, "logs": 1}, GVISOR, theirs)

    assert value(both) == {"log": "x", "log-opts": {"a": "1"}, "logs": 1}


def test_an_owner_of_one_value_with_another_may_not_change_it_alone() -> None:
    ours = bring_by("{}", LIVE, GVISOR)
    both = bring_by(ours.text, LIVE, "other", ours)

    with pytest.raises(Problem, match="has another owner, other"):
        bring_by(both.text, {"live-restore": False}, GVISOR, both)


def test_what_somebody_changed_in_anothers_key_is_for_that_owner_to_set_back() -> None:
    ours = bring_by("{}", LIVE, GVISOR)
    both = bring_by(ours.text, MIRROR, "mirrors", ours)
    edited = json.dumps({"live-restore": False, **MIRROR})

    theirs = bring_by(edited, MIRROR, "mirrors", both)
    mine = bring_by(theirs.text, LIVE, GVISOR, theirs)

    assert (theirs.text, theirs.drifted, theirs.left) == (edited, (), ())
    assert mine.drifted == ("/live-restore",)
    assert value(mine) == {**LIVE, **MIRROR}


def test_a_record_of_version_1_belongs_to_gvisor() -> None:
    record = {
        "version": 1,
        "original": "{}",
        "paths": {"/live-restore": {"wrote": True, "before": None}},
    }

    owned = Owned.load(record)

    assert owned.of(GVISOR) == [("live-restore",)]
    assert owned.version == 2
    assert owned == bring_by("{}", LIVE, GVISOR).owned.model_copy(update={"written": ()})


@table("owner, wanted", {"another": ("mirrors", {}), "itself": (GVISOR, LIVE)})
def test_a_key_that_is_only_for_nodes_without_one_is_taken_by_whoever_is_there_first(
    owner: str, wanted: dict[str, Json]
) -> None:
    first = plan_daemon_json(node(), LIVE)
    found = node(**after(first))

    plan = plan_daemon_json(found, {}, if_absent={"live-restore": True}, owner=owner)

    assert plan.after == first.after
    assert plan.owned.of(owner) == list(flatten(wanted))


@table("first", {"ours": GVISOR, "theirs": "mirrors"})
def test_a_refusal_of_one_owner_leaves_the_other_as_it_was(first: str) -> None:
    found = node(**after(plan_daemon_json(node(), LIVE, owner=first)))

    with pytest.raises(Problem, match=f"has another owner, {first}"):
        plan_daemon_json(found, {"live-restore": False}, owner="third")
    assert not plan_daemon_json(found, LIVE, owner=first).changes
