"""What holds for every daemon.json and any two owners of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText, Path, from_pointer, pointer
from pyinfra_gvisor.daemon_json.merge import Merge, Owned, flatten, merge, same
from tests.unit.json_texts import documents, wishes

Wish = Mapping[Path, Json]
Draw = Callable[..., Any]
ORDERS = st.permutations(["one", "two"])
BOTH = ("one", "two")


@st.composite
def pairs(draw: Draw) -> dict[str, Wish]:
    """What two owners want: some paths each, and some that both do."""
    wanted = flatten(draw(wishes()))
    who = {path: draw(st.sampled_from([("one",), ("two",), BOTH])) for path in wanted}
    return {
        owner: {path: value for path, value in wanted.items() if owner in who[path]}
        for owner in BOTH
    }


def bring(text: str | None, wanted: Wish, owner: str, owned: Owned | None = None) -> Merge:
    """One run of one owner."""
    return merge(text, owned or Owned(), wanted, owner=owner)


def installed(text: str | None, wanted: Mapping[str, Wish], order: list[str]) -> Merge:
    """Both owners' first runs, one after the other."""
    first = bring(text, wanted[order[0]], order[0])
    return bring(first.text, wanted[order[1]], order[1], first.owned)


@given(documents(), pairs(), ORDERS)
def test_what_both_want_is_in_the_file_and_known_as_theirs(
    text: str, wanted: dict[str, Wish], order: list[str]
) -> None:
    merged = installed(text, wanted, order)

    document = JsonText(merged.text or "{}")
    for owner in BOTH:
        assert set(merged.owned.of(owner)) == set(wanted[owner])
        assert all(same(document.get(path), value) for path, value in wanted[owner].items())


@given(documents(), pairs(), ORDERS, ORDERS)
def test_a_second_run_of_both_changes_nothing(
    text: str, wanted: dict[str, Wish], order: list[str], again: list[str]
) -> None:
    merged = installed(text, wanted, order)

    one = bring(merged.text, wanted[again[0]], again[0], merged.owned)
    two = bring(one.text, wanted[again[1]], again[1], one.owned)

    for later in (one, two):
        assert (later.text, later.drifted, later.left) == (merged.text, (), ())
    assert set(two.owned.paths) == set(merged.owned.paths)


@given(documents(), pairs(), ORDERS)
def test_keys_that_are_nobodys_stay_as_they_are_written(
    text: str, wanted: dict[str, Wish], order: list[str]
) -> None:
    merged = installed(text, wanted, order)

    ours = {from_pointer(name)[0] for name in merged.owned.paths}
    before, after = JsonText(text), JsonText(merged.text or "{}")
    kept = [key for key in before.value if key not in ours]
    assert [after.raw((key,)) for key in kept] == [before.raw((key,)) for key in kept]
    assert [key for key in after.value if key not in ours] == kept


@given(documents(), pairs(), ORDERS, ORDERS)
def test_after_both_have_gone_in_any_order_the_file_is_the_original_to_the_byte(
    text: str, wanted: dict[str, Wish], order: list[str], gone: list[str]
) -> None:
    merged = installed(text, wanted, order)

    one = bring(merged.text, {}, gone[0], merged.owned)
    two = bring(one.text, {}, gone[1], one.owned)

    assert (two.text, two.owned) == (text, Owned())
    assert one.left == two.left == ()


@given(pairs(), ORDERS, ORDERS)
def test_where_there_was_no_file_there_is_none_after_both_have_gone(
    wanted: dict[str, Wish], order: list[str], gone: list[str]
) -> None:
    assume(any(wanted.values()))
    merged = installed(None, wanted, order)

    one = bring(merged.text, {}, gone[0], merged.owned)
    two = bring(one.text, {}, gone[1], one.owned)

    assert two.text is None


@given(documents(), pairs())
def test_which_of_two_owners_comes_first_does_not_matter(
    text: str, wanted: dict[str, Wish]
) -> None:
    one = installed(text, wanted, ["one", "two"])
    other = installed(text, wanted, ["two", "one"])

    assert same(JsonText(one.text or "{}").value, JsonText(other.text or "{}").value)
    assert set(one.owned.paths) == set(other.owned.paths)
    for name, mine in one.owned.paths.items():
        assert set(mine.owners) == set(other.owned.paths[name].owners)
        assert mine.before == other.owned.paths[name].before


@given(documents(), pairs(), ORDERS)
def test_when_one_has_gone_the_file_says_what_the_other_alone_would_have_made_of_it(
    text: str, wanted: dict[str, Wish], order: list[str]
) -> None:
    goes, stays = order
    merged = installed(text, wanted, order)

    left = bring(merged.text, {}, goes, merged.owned)

    alone = bring(text, wanted[stays], stays)
    assert same(JsonText(left.text or "{}").value, JsonText(alone.text or "{}").value)
    assert left.owned.paths == alone.owned.paths


@given(documents(), wishes(), wishes())
def test_two_that_disagree_are_told_apart_and_nothing_else_is_refused(
    text: str, first: dict[str, Json], second: dict[str, Json]
) -> None:
    one, two = flatten(first), flatten(second)
    theirs = bring(text, one, "one")
    disputed = {pointer(path) for path in one.keys() & two.keys() if not same(one[path], two[path])}

    refused = problem_of(theirs, two)

    named = {name for name in disputed if refused.startswith(f"{name} has another owner, one,")}
    assert bool(named) is bool(refused) is bool(disputed)


def problem_of(theirs: Merge, wanted: Wish) -> str:
    """What is said to another owner who wants this; empty if it may have it."""
    try:
        bring(theirs.text, wanted, "two", theirs.owned)
    except Problem as problem:
        return str(problem)
    return ""
