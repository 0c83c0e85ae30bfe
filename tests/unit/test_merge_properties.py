"""What holds for every daemon.json and everything that may be wanted in it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hypothesis import assume, example, given
from hypothesis import strategies as st

from pyinfra_gvisor.base.json_text import Json, JsonText, from_pointer
from pyinfra_gvisor.daemon_json.merge import Merge, Owned, flatten, merge, same
from tests.unit.json_texts import VALUES, documents, wishes


def bring(text: str | None, wanted: Mapping[str, Json], owned: Owned | None = None) -> Merge:
    """One run."""
    return merge(text, owned or Owned(), flatten(wanted))


def foreign(text: str, owned: Owned) -> dict[str, str | None]:
    """Every key of the file that nothing of ours lies in, as it is written."""
    ours = {from_pointer(name)[0] for name in owned.paths}
    document = JsonText(text)
    return {key: document.raw((key,)) for key in document.value if key not in ours}


@given(documents(), wishes())
def test_what_is_wanted_is_in_the_file_afterwards(text: str, wanted: dict[str, Json]) -> None:
    merged = bring(text, wanted)

    document = JsonText(merged.text or "{}")
    assert all(same(document.get(path), value) for path, value in flatten(wanted).items())


@given(documents(), wishes())
def test_a_second_run_changes_nothing(text: str, wanted: dict[str, Json]) -> None:
    first = bring(text, wanted)

    second = bring(first.text, wanted, first.owned)

    assert second == first.model_copy(update={"drifted": (), "left": ()})


@given(documents(), wishes())
def test_a_key_that_is_not_ours_stays_as_it_is_written(text: str, wanted: dict[str, Json]) -> None:
    merged = bring(text, wanted)

    assert merged.text is not None
    before, after = foreign(text, merged.owned), foreign(merged.text, merged.owned)
    assert list(after.items()) == list(before.items())


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


@given(documents(), wishes())
def test_install_then_remove_gives_the_original_to_the_byte(
    text: str, wanted: dict[str, Json]
) -> None:
    installed = bring(text, wanted)

    removed = bring(installed.text, {}, installed.owned)

    assert removed.text == text
    assert removed.owned == Owned()
    assert removed.left == ()


@given(wishes())
def test_where_there_was_no_file_there_is_none_after_removal(wanted: dict[str, Json]) -> None:
    installed = bring(None, wanted)

    removed = bring(installed.text, {}, installed.owned)

    assert removed.text is None


@given(documents(), wishes(), wishes())
def test_install_change_then_remove_gives_the_original_to_the_byte(
    text: str, first: dict[str, Json], second: dict[str, Json]
) -> None:
    one = bring(text, first)
    two = bring(one.text, second, one.owned)

    removed = bring(two.text, {}, two.owned)

    assert removed.text == text


@given(documents(), wishes(), st.randoms(use_true_random=False))
def test_the_order_in_which_keys_are_wanted_does_not_matter(
    text: str, wanted: dict[str, Json], random: st.random.Random
) -> None:
    keys = list(wanted)
    random.shuffle(keys)

    one = bring(text, wanted)
    other = bring(text, {key: wanted[key] for key in keys})

    assert same(JsonText(one.text or "{}").value, JsonText(other.text or "{}").value)
    assert one.owned.paths == other.owned.paths


@given(documents(), wishes(), st.sampled_from(["dns", "mtu", "\u00e4\u00f6"]), VALUES)
def test_what_somebody_adds_or_changes_survives_removal_as_written(
    text: str, wanted: dict[str, Json], key: str, value: Json
) -> None:
    installed = bring(text, wanted)
    edited = JsonText(installed.text or "{}").set((key,), value)

    removed = bring(edited.text, {}, installed.owned)

    assert removed.text is not None
    after = JsonText(removed.text)
    kept = foreign(edited.text, installed.owned)
    assert {name: after.raw((name,)) for name in kept} == kept


@given(documents(), wishes(), st.sampled_from(["  ", "\t", None]))
@example('{"dns": ["1.1.1.1"]}', {"live-restore": True}, "  ")
def test_a_file_that_somebody_tidied_up_stays_tidy(
    text: str, wanted: dict[str, Json], indent: str | None
) -> None:
    installed = bring(text, wanted)
    tidied = json.dumps(json.loads(installed.text or "{}"), indent=indent)

    removed = bring(tidied, {}, installed.owned)

    assert removed.text is not None
    after = JsonText(removed.text)
    kept = foreign(tidied, installed.owned)
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
