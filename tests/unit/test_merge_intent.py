"""What is written down before a change is made, so that a run that dies loses no claim."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.daemon_json.merge import Owned, OwnedPath, intent

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


@pytest.mark.parametrize(
    ("old", "new", "original"),
    [
        pytest.param(Owned(), NEW, '{"x": 1}', id="installation"),
        pytest.param(OLD, Owned(), '{"x": 1}', id="removal"),
        pytest.param(OLD, NEW, '{"x": 1}', id="change"),
    ],
)
def test_an_intent_keeps_the_original(old: Owned, new: Owned, original: str) -> None:
    assert intent(old, new).original == original


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        pytest.param(False, False, False, id="nobody"),
        pytest.param(True, False, True, id="before"),
        pytest.param(False, True, True, id="now"),
    ],
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


def test_what_has_come_to_its_end_is_not_unfinished() -> None:
    assert not Owned().unfinished
