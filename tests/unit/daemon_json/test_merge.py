"""Three-way merge: what we last wrote, what is there, what is wanted; also of several owners."""

import json
from contextlib import nullcontext
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
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import after, node

X = '{"x": 1}'
MIRROR: dict[str, Json] = {"registry-mirrors": ["https://mirror.example"]}
LIVE: dict[str, Json] = {"live-restore": True}


def bring(
    text: str | None, wanted: dict[str, Json], earlier: Merge | None = None, owner: str = GVISOR
) -> Merge:
    """One run of an owner, with the record of an earlier run of anybody."""
    return merge(text, earlier.owned if earlier else Owned(), flatten(wanted), owner=owner)


def value(merged: Merge) -> Any:
    """The file, read."""
    return json.loads(merged.text or "null")


@table(
    "wanted, paths",
    a_value=({"debug": True}, {("debug",): True}),
    an_object_entry_by_entry=(
        {"log-opts": {"a": "1", "b": "2"}},
        {("log-opts", "a"): "1", ("log-opts", "b"): "2"},
    ),
    an_entry_as_a_whole=({"runtimes": {"x": {"path": "/x"}}}, {("runtimes", "x"): {"path": "/x"}}),
    an_empty_object_is_a_value=({"runtimes": {}}, {("runtimes",): {}}),
    a_list=({"labels": []}, {("labels",): []}),
    nothing=({}, {}),
)
def test_what_is_wanted_is_owned_by_key_or_by_entry(wanted: Data, paths: dict[Path, Json]) -> None:
    assert flatten(wanted) == paths


@table(
    "one, other, equal",
    true_is_not_one=(True, 1, False),
    false_is_not_zero=(False, 0, False),
    numbers_by_value=(1, 1.0, True),
    inside_a_list=([True], [1], False),
    inside_an_object=({"a": False}, {"a": 0}, False),
    order_of_keys=({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    order_of_a_list=([1, 2], [2, 1], False),
    longer_list=([1], [1, 1], False),
    object_and_list=({}, [], False),
    null_and_false=(None, False, False),
    text_and_number=("1", 1, False),
    null_and_nothing=({"a": None}, {}, False),
)
def test_values_are_the_same_if_json_says_so(one: Json, other: Json, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_a_file_made_by_us_stays_when_somebody_put_a_key_into_it() -> None:
    installed = bring(None, LIVE)

    assert value(bring(json.dumps({**LIVE, "dns": []}), {}, installed)) == {"dns": []}


def test_a_file_that_somebody_took_away_is_made_again_only_while_it_is_wanted() -> None:
    installed = bring('{"dns": []}', LIVE)

    again = bring(None, LIVE, installed)
    removed = bring(None, {}, installed)

    assert (value(again), again.drifted) == (LIVE, ("/live-restore",))
    assert (removed.text, removed.owned) == (None, Owned())


def test_a_value_that_was_there_before_us_comes_back_as_it_was_written() -> None:
    installed = bring('{"a": 1,\n "labels" : ["x",\n   "y"]}', {"labels": []})
    edited = (installed.text or "").replace('"a": 1', '"a": 2')

    removed = bring(edited, {}, installed)

    assert installed.text == '{"a": 1,\n "labels" : []}'
    assert removed.text == '{"a": 2,\n "labels" : ["x",\n   "y"]}'


def test_a_value_that_is_as_wanted_already_is_ours_and_stays_as_it_is_written() -> None:
    alone = bring('{ "live-restore" :true }', LIVE)
    beside = bring('{ "live-restore" :true }', {**LIVE, "debug": True})

    assert alone.text == '{ "live-restore" :true }'
    assert alone.owned.paths == {"/live-restore": OwnedPath(wrote=True, before="true")}
    assert beside.text == '{ "live-restore" :true, "debug": true }'


def test_the_record_of_what_was_there_before_us_outlives_every_later_run() -> None:
    first = bring('{"live-restore": false}', LIVE)

    second = bring(first.text, {**LIVE, "debug": True}, first)

    assert second.owned.paths["/live-restore"].before == "false"
    assert second.owned.original == '{"live-restore": false}'


@table(
    "theirs, left",
    an_entry_of_theirs=({"tag": "t"}, '{"x": 1, "log-opts": {"tag": "t"}}'),
    none=({}, X),
)
def test_a_parent_that_we_made_goes_with_the_last_of_its_entries(theirs: Data, left: str) -> None:
    first = bring(X, {"log-opts": {"a": "1", "b": "2"}})
    second = bring(first.text, {"log-opts": {"b": "2"}}, first)
    edited = json.dumps({"x": 1, "log-opts": {"b": "2", **theirs}})

    removed = bring(edited, {}, second)

    assert second.text == '{"x": 1, "log-opts": {"b": "2"}}'
    assert removed.text == left


def test_an_empty_parent_that_was_there_before_us_stays() -> None:
    installed = bring('{"runtimes": {}, "x": 1}', {"runtimes": {"runsc": {"path": "/x"}}})
    edited = (installed.text or "").replace('"x": 1', '"x": 2')

    assert json.loads(bring(edited, {}, installed).text or "") == {"runtimes": {}, "x": 2}


def test_owning_a_key_as_a_whole_after_its_entries_still_gives_the_original_back() -> None:
    first = bring(X, {"log-opts": {"a": "1"}})
    second = bring(first.text, {"log-opts": {}}, first)
    third = bring(second.text, {"log-opts": {"b": "2"}}, second)

    assert bring(third.text, {}, third).text == X


def test_a_new_wish_is_no_drift() -> None:
    installed = bring("{}", LIVE)

    merged = bring(installed.text, {"live-restore": False}, installed)

    assert (value(merged), merged.drifted) == ({"live-restore": False}, ())


def test_what_somebody_removed_is_not_put_back_when_nobody_wants_it() -> None:
    assert bring(X, {}, bring('{"live-restore": false, "x": 1}', LIVE)).text == X


EDITED = '{\n  "dns": [ "1.1.1.1" ],\n  "live-restore": true\n}'


def test_that_somebody_wrote_the_file_is_remembered_over_our_own_changes() -> None:
    installed = bring('{"dns":["1.1.1.1"]}', LIVE)
    changed = bring(EDITED, {"live-restore": False}, installed)

    assert bring(changed.text, {}, changed).text == '{\n  "dns": [ "1.1.1.1" ]\n}'


def test_a_run_that_changes_nothing_leaves_the_record_as_it_is() -> None:
    installed = bring('{"dns":["1.1.1.1"]}', LIVE)

    again = bring(EDITED, LIVE, installed)

    assert (again.text, again.owned) == (EDITED, installed.owned)


def test_with_nothing_wanted_and_nothing_owned_the_file_stays_as_it_is() -> None:
    text = ' {"x" :1}\r\n'

    assert bring(text, {}) == Merge(text=text, owned=Owned())


def test_a_record_is_read_as_it_was_written_and_without_paths_not_at_all() -> None:
    owned = bring('{"a~/b": null}', {"a~/b": 1, "log-opts": {"x": "y"}}).owned

    written = json.loads(json.dumps(owned.model_dump()))

    assert Owned.load(written) == owned
    del written["paths"]
    with pytest.raises(ValueError, match="paths"):
        Owned.load(written)


OLD = Owned(
    original=X,
    written=("old",),
    paths={"/a": OwnedPath(wrote=1), "/b": OwnedPath(wrote=2, before="0")},
    parents=("/p", "/q"),
)
NEW = Owned(
    original=X,
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


WRITTEN = Owned(touched=True)


@table(
    "old, new, touched",
    nobody=(OLD, NEW, False),
    before=(WRITTEN, NEW, True),
    now=(OLD, WRITTEN, True),
    installation=(Owned(), NEW, False),
    removal=(OLD, Owned(), False),
)
def test_an_intent_keeps_the_original_and_remembers_that_somebody_else_wrote_the_file(
    old: Owned, new: Owned, touched: bool
) -> None:
    assert intent(old, new).touched is touched
    assert intent(old, new).original == X


def test_an_intent_after_one_that_died_still_knows_the_value_before_both() -> None:
    first = Owned(paths={"/a": OwnedPath(wrote=1)})
    second = intent(first, Owned(paths={"/a": OwnedPath(wrote=2)}))

    third = intent(second, Owned(paths={"/a": OwnedPath(wrote=3)}))

    assert all(third.paths["/a"].has_written(value) for value in (1, 2, 3))
    assert not third.paths["/a"].has_written(4)


@table(
    "first, second, message",
    another_value=(
        {"live-restore": 1},
        LIVE,
        "^/live-restore has .*, which declares another value of /live-restore, got True; ",
    ),
    an_entry=(
        {"runtimes": {"x": {"path": "/x"}}},
        {"runtimes": {"x": {"path": "/y"}}},
        "^/runtimes/x has another owner, mirrors",
    ),
    the_whole_of_an_entry=(
        {"log-opts": {"a": "1"}},
        {"log-opts": {}},
        "^/log-opts has another owner, mirrors, which declares another value of /log-opts/a",
    ),
    an_entry_of_the_whole=(
        {"log-opts": {}},
        {"log-opts": {"a": "1"}},
        "^/log-opts/a has another owner, mirrors, which declares another value of /log-opts",
    ),
    a_name_that_begins_like_it=({"log": "x"}, {"log-opts": {"a": "1"}, "logs": 1}, None),
)
def test_what_somebody_else_owns_with_another_value_is_refused_by_its_owners_name(
    first: dict[str, Json], second: dict[str, Json], message: str | None
) -> None:
    theirs = bring("{}", first, owner="mirrors")

    with pytest.raises(Problem, match=message) if message else nullcontext():
        bring(theirs.text, second, theirs)


def test_what_somebody_changed_in_anothers_key_is_for_that_owner_to_set_back() -> None:
    ours = bring("{}", LIVE)
    both = bring(ours.text, MIRROR, ours, "mirrors")
    edited = json.dumps({"live-restore": False, **MIRROR})

    theirs = bring(edited, MIRROR, both, "mirrors")
    mine = bring(theirs.text, LIVE, theirs)

    assert (theirs.text, theirs.drifted, theirs.left) == (edited, (), ())
    assert (value(mine), mine.drifted) == ({**LIVE, **MIRROR}, ("/live-restore",))


def test_a_record_of_version_1_belongs_to_gvisor() -> None:
    paths = {"/live-restore": {"wrote": True, "before": None}}

    owned = Owned.load({"version": 1, "original": "{}", "paths": paths})

    assert owned == bring("{}", LIVE).owned.model_copy(update={"written": ()})


@table("owner, wanted", another=("mirrors", {}), itself=(GVISOR, LIVE))
def test_a_key_that_is_only_for_nodes_without_one_is_taken_by_whoever_is_there_first(
    owner: str, wanted: dict[str, Json]
) -> None:
    first = plan_daemon_json(node(), LIVE)
    found = node(**after(first))

    plan = plan_daemon_json(found, {}, if_absent={"live-restore": True}, owner=owner)

    assert plan.after == first.after
    assert plan.owned.of(owner) == list(flatten(wanted))


def test_of_several_owners_of_one_value_none_may_change_it_alone() -> None:
    first = after(plan_daemon_json(node(), LIVE))
    found = node(**after(plan_daemon_json(node(**first), LIVE, owner="other")))

    with pytest.raises(Problem, match="has another owner, other"):
        plan_daemon_json(found, {"live-restore": False})
    with pytest.raises(Problem, match=f"has another owner, {GVISOR}, other"):
        plan_daemon_json(found, {"live-restore": False}, owner="third")


PLUGINS = "authorization-plugins"
DOOR: dict[str, Json] = {PLUGINS: ["pyinfra-gvisor"]}


@table(
    "text, later, removed",
    no_list=(X, None, X),
    a_list_of_others=(f'{{"{PLUGINS}":["a" ]}}', None, f'{{"{PLUGINS}":["a" ]}}'),
    one_came=(f'{{"{PLUGINS}":["a" ]}}', ["a", "pyinfra-gvisor", "b"], ["a", "b"]),
    one_came_to_none=(X, ["b", "pyinfra-gvisor"], ["b"]),
    one_went=(f'{{"{PLUGINS}":["a" ]}}', ["pyinfra-gvisor"], []),
    ours_went=(f'{{"{PLUGINS}":["a" ]}}', ["b"], ["b"]),
)
def test_of_a_list_that_others_write_only_our_member_comes_and_goes(
    text: str, later: list[Json] | None, removed: Any
) -> None:
    had = json.loads(text).get(PLUGINS, [])
    first = bring(text, DOOR)
    assert value(first)[PLUGINS] == [*had, "pyinfra-gvisor"]
    assert bring(first.text, DOOR, first).text == first.text

    now = first.text
    if later is not None:
        now = json.dumps({**value(first), PLUGINS: later})
        again = value(bring(now, DOOR, first))[PLUGINS]
        assert [item for item in again if item != "pyinfra-gvisor"] == removed
        assert again.count("pyinfra-gvisor") == 1
    gone = bring(now, {}, first)

    assert gone.left == ()
    if later is None:
        assert gone.text == removed
    else:
        assert value(gone)[PLUGINS] == removed
