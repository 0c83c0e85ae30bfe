"""Three-way merge: what we last wrote, what is there, what is wanted."""

from __future__ import annotations

import json

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path
from pyinfra_gvisor.daemon_json.merge import Merge, Owned, OwnedPath, flatten, merge, same


def bring(text: str | None, wanted: dict[str, Json], earlier: Merge | None = None) -> Merge:
    """One run, with the record of an earlier one."""
    return merge(text, earlier.owned if earlier else Owned(), flatten(wanted))


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        pytest.param({"debug": True}, {("debug",): True}, id="a-value"),
        pytest.param(
            {"log-opts": {"a": "1", "b": "2"}},
            {("log-opts", "a"): "1", ("log-opts", "b"): "2"},
            id="an-object-entry-by-entry",
        ),
        pytest.param(
            {"runtimes": {"x": {"path": "/x"}}},
            {("runtimes", "x"): {"path": "/x"}},
            id="an-entry-as-a-whole",
        ),
        pytest.param({"runtimes": {}}, {("runtimes",): {}}, id="an-empty-object-is-a-value"),
        pytest.param({"labels": []}, {("labels",): []}, id="a-list"),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_what_is_wanted_is_owned_by_key_or_by_entry(
    wanted: dict[str, Json], paths: dict[Path, Json]
) -> None:
    assert flatten(wanted) == paths


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        pytest.param(True, 1, False, id="true-is-not-one"),
        pytest.param(False, 0, False, id="false-is-not-zero"),
        pytest.param(1, 1.0, True, id="numbers-by-value"),
        pytest.param([True], [1], False, id="inside-a-list"),
        pytest.param({"a": False}, {"a": 0}, False, id="inside-an-object"),
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, True, id="order-of-keys"),
        pytest.param([1, 2], [2, 1], False, id="order-of-a-list"),
        pytest.param([1], [1, 1], False, id="longer-list"),
        pytest.param({}, [], False, id="object-and-list"),
        pytest.param(None, False, False, id="null-and-false"),
        pytest.param("1", 1, False, id="text-and-number"),
        pytest.param({"a": None}, {}, False, id="null-and-nothing"),
    ],
)
def test_values_are_the_same_if_json_says_so(one: Json, other: Json, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_a_file_that_nobody_had_is_made_and_taken_away_again() -> None:
    installed = bring(None, {"live-restore": True})

    removed = bring(installed.text, {}, installed)

    assert installed.text == '{\n    "live-restore": true\n}\n'
    assert removed.text is None


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


@pytest.mark.parametrize(
    ("theirs", "drifted"),
    [
        pytest.param("false", ("/live-restore",), id="changed"),
        pytest.param("1", ("/live-restore",), id="one-is-not-true"),
        pytest.param("true", (), id="as-we-wrote-it"),
    ],
)
def test_a_value_of_ours_that_somebody_changed_is_told_and_set_back(
    theirs: str, drifted: tuple[str, ...]
) -> None:
    installed = bring('{"x": 1}', {"live-restore": True})

    merged = bring(f'{{"x": 1, "live-restore": {theirs}}}', {"live-restore": True}, installed)

    assert merged.text == '{"x": 1, "live-restore": true}'
    assert merged.drifted == drifted


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


def test_a_value_that_somebody_changed_is_left_to_them_when_nobody_wants_it_any_more() -> None:
    installed = bring('{"x": 1}', {"live-restore": True})

    removed = bring('{"x": 1, "live-restore": 7}', {}, installed)

    assert removed.text == '{"x": 1, "live-restore": 7}'
    assert removed.left == ("/live-restore",)
    assert removed.owned == Owned()


def test_what_somebody_removed_is_not_put_back_when_nobody_wants_it() -> None:
    installed = bring('{"live-restore": false, "x": 1}', {"live-restore": True})

    removed = bring('{"x": 1}', {}, installed)

    assert removed.text == '{"x": 1}'


def test_a_file_that_somebody_wrote_since_is_never_made_the_original_again() -> None:
    installed = bring('{"dns":["1.1.1.1"]}', {"live-restore": True})
    tidied = '{\n  "dns": [ "1.1.1.1" ],\n  "live-restore": true\n}'

    removed = bring(tidied, {}, installed)

    assert removed.text == '{\n  "dns": [ "1.1.1.1" ]\n}'


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


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({}, id="missing"),
        pytest.param({"paths": None}, id="null"),
        pytest.param({"paths": 3}, id="wrong-type"),
        pytest.param({"paths": {"/a": {}}}, id="value-missing"),
    ],
)
def test_a_record_that_cannot_be_read_is_no_empty_one(record: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="paths"):
        Owned.load(record)


def test_a_record_is_read_as_it_was_written() -> None:
    owned = bring('{"a~/b": null}', {"a~/b": 1, "log-opts": {"x": "y"}}).owned

    written = json.loads(json.dumps(owned.model_dump()))

    assert Owned.load(written) == owned
