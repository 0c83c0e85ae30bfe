"""What holds for every daemon.json, all that may be wanted in it, and any two owners of it."""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText, Path, from_pointer, pointer
from pyinfra_gvisor.daemon_json.merge import Merge, Owned, flatten, merge, same
from tests.unit.base.json_texts import VALUES, documents, wishes


def bring(text: str | None, wanted: Mapping[str, Json], owned: Owned | None = None) -> Merge:
    """One run."""
    return merge(text, owned or Owned(), flatten(wanted))


def foreign(text: str, owned: Owned) -> dict[str, str | None]:
    """Every key of the file that nothing of ours lies in, as it is written."""
    ours = {from_pointer(name)[0] for name in owned.paths}
    document = JsonText(text)
    return {key: document.raw((key,)) for key in document.value if key not in ours}


@given(documents(), wishes())
def test_an_entry_beside_ours_stays_as_it_is_written(text: str, wanted: dict[str, Json]) -> None:
    merged = bring(text, wanted)

    before, after = JsonText(text), JsonText(merged.text or "{}")
    for key in ("runtimes", "log-opts"):
        inside = before.value.get(key, {})
        assert isinstance(inside, dict)
        for name in inside:
            if (key, name) not in flatten(wanted):
                assert after.raw((key, name)) == before.raw((key, name))


@given(documents(), wishes(), wishes())
def test_install_change_then_remove_gives_the_original_to_the_byte(
    text: str, first: dict[str, Json], second: dict[str, Json]
) -> None:
    one = bring(text, first)
    two = bring(one.text, second, one.owned)

    assert bring(two.text, {}, two.owned).text == text


@given(documents(), wishes(), st.randoms(use_true_random=False))
def test_the_order_in_which_keys_are_wanted_does_not_matter(
    text: str, wanted: dict[str, Json], random: Random
) -> None:
    keys = list(wanted)
    random.shuffle(keys)

    one = bring(text, wanted)
    other = bring(text, {key: wanted[key] for key in keys})

    assert same(JsonText(one.text or "{}").value, JsonText(other.text or "{}").value)
    assert one.owned.paths == other.owned.paths


@given(
    documents(), wishes(), st.sampled_from(["dns", "mtu", "\u00e4\u00f6"]), VALUES, st.booleans()
)
@example('{"dns": ["1.1.1.1"]}', {"live-restore": True}, "dns", ["1.1.1.1"], True)
def test_what_somebody_adds_or_tidies_up_survives_removal_as_written(
    text: str, wanted: dict[str, Json], key: str, value: Json, tidied: bool
) -> None:
    installed = bring(text, wanted)
    edited = JsonText(installed.text or "{}").set((key,), value).text
    if tidied:
        edited = json.dumps(json.loads(edited), indent=2)

    removed = bring(edited, {}, installed.owned)

    assert removed.text is not None
    after = JsonText(removed.text)
    kept = foreign(edited, installed.owned)
    assert {name: after.raw((name,)) for name in kept} == kept


@given(documents(), wishes(), st.data())
def test_a_value_of_ours_that_somebody_changed_is_set_back_while_wanted_and_left_after(
    text: str, wanted: dict[str, Json], data: st.DataObject
) -> None:
    assume(wanted)
    installed = bring(text, wanted)
    name = data.draw(st.sampled_from(sorted(installed.owned.paths)))
    path = from_pointer(name)
    edited = JsonText(installed.text or "{}").set(path, "somebody's own").text
    assume(flatten(wanted)[path] != "somebody's own")

    kept = bring(edited, wanted, installed.owned)
    removed = bring(edited, {}, installed.owned)

    assert kept.drifted == (name,)
    assert same(JsonText(kept.text or "{}").get(path), flatten(wanted)[path])
    assert removed.left == (name,)
    assert JsonText(removed.text or "{}").get(path) == "somebody's own"


Wish = Mapping[Path, Json]
ORDERS = st.permutations(["one", "two"])
BOTH = ("one", "two")


@st.composite
def pairs(draw: Callable[..., Any]) -> dict[str, Wish]:
    """What two owners want: some paths each, and some that both do."""
    wanted = flatten(draw(wishes()))
    who = {path: draw(st.sampled_from([("one",), ("two",), BOTH])) for path in wanted}
    return {
        owner: {path: value for path, value in wanted.items() if owner in who[path]}
        for owner in BOTH
    }


def bring_by(text: str | None, wanted: Wish, owner: str, owned: Owned | None = None) -> Merge:
    """One run of one owner."""
    return merge(text, owned or Owned(), wanted, owner=owner)


def installed(text: str | None, wanted: Mapping[str, Wish], order: list[str]) -> Merge:
    """Both owners' first runs, one after the other."""
    first = bring_by(text, wanted[order[0]], order[0])
    return bring_by(first.text, wanted[order[1]], order[1], first.owned)


@given(documents(), pairs(), ORDERS)
def test_both_have_what_they_want_nobodys_keys_stay_and_a_second_run_changes_nothing(
    text: str, wanted: dict[str, Wish], order: list[str]
) -> None:
    merged = installed(text, wanted, order)

    document = JsonText(merged.text or "{}")
    for owner in BOTH:
        assert set(merged.owned.of(owner)) == set(wanted[owner])
        assert all(same(document.get(path), value) for path, value in wanted[owner].items())
    before, after = foreign(text, merged.owned), foreign(merged.text or "{}", merged.owned)
    assert list(after.items()) == list(before.items())

    one = bring_by(merged.text, wanted[order[0]], order[0], merged.owned)
    two = bring_by(one.text, wanted[order[1]], order[1], one.owned)

    for later in (one, two):
        assert (later.text, later.drifted, later.left) == (merged.text, (), ())
    assert two.owned == merged.owned


@settings(max_examples=200)  # of which half have no file
@given(documents() | st.none(), pairs(), ORDERS, ORDERS)
def test_after_both_have_gone_in_any_order_the_file_is_the_original_to_the_byte_or_none(
    text: str | None, wanted: dict[str, Wish], order: list[str], gone: list[str]
) -> None:
    merged = installed(text, wanted, order)

    one = bring_by(merged.text, {}, gone[0], merged.owned)
    two = bring_by(one.text, {}, gone[1], one.owned)

    assert (two.text, two.owned) == (text, Owned())
    assert one.left == two.left == ()


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

    left = bring_by(merged.text, {}, goes, merged.owned)

    alone = bring_by(text, wanted[stays], stays)
    assert same(JsonText(left.text or "{}").value, JsonText(alone.text or "{}").value)
    assert left.owned.paths == alone.owned.paths


@given(documents(), wishes(), wishes())
def test_two_that_disagree_are_told_apart_and_nothing_else_is_refused(
    text: str, first: dict[str, Json], second: dict[str, Json]
) -> None:
    one, two = flatten(first), flatten(second)
    theirs = bring_by(text, one, "one")
    disputed = {pointer(path) for path in one.keys() & two.keys() if not same(one[path], two[path])}

    refused = problem_of(theirs, two)

    named = {name for name in disputed if refused.startswith(f"{name} has another owner, one,")}
    assert bool(named) is bool(refused) is bool(disputed)


def problem_of(theirs: Merge, wanted: Wish) -> str:
    """What is said to another owner who wants this; empty if it may have it."""
    try:
        bring_by(theirs.text, wanted, "two", theirs.owned)
    except Problem as problem:
        return str(problem)
    return ""
