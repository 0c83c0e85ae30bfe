"""How much one source may ask for, and how many things may go on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.resolver.forwarder import diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.diagnostics import Diagnostics
from pyinfra_gvisor.parts.resolver.forwarder.rates import Places, Rates


def test_a_burst_is_allowed_and_then_as_much_as_comes_back() -> None:
    rates = Rates(per_s=2, burst=3, sources=9)

    burst = [rates.takes("a", 10.0) for _ in range(4)]
    later = [rates.takes("a", 11.0) for _ in range(3)]
    much_later = [rates.takes("a", 99.0) for _ in range(4)]

    assert burst == [True, True, True, False]
    assert later == [True, True, False]
    assert much_later == [True, True, True, False]


def test_one_source_takes_nothing_from_another() -> None:
    rates = Rates(per_s=1, burst=1, sources=9)
    rates.takes("a", 1.0)

    assert [rates.takes("a", 1.0), rates.takes("b", 1.0)] == [False, True]


def test_who_was_quiet_longest_is_forgotten_first() -> None:
    rates = Rates(per_s=0.001, burst=1, sources=2)
    for source in ("quiet", "busy", "busy", "new"):
        rates.takes(source, 1.0)

    assert [rates.takes("busy", 1.0), rates.takes("quiet", 1.0)] == [False, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 10)), max_size=80))
def test_nobody_gets_more_than_the_rate(asked: list[tuple[int, float]]) -> None:
    rates = Rates(per_s=2, burst=3, sources=9)
    taken = dict.fromkeys(range(6), 0)
    now_s = 0.0
    for source, later_s in asked:
        now_s += later_s
        taken[source] += rates.takes(str(source), now_s)

    assert max(taken.values()) <= 3 + 2 * now_s


def test_there_are_so_many_places_and_so_many_for_one() -> None:
    places = Places(most=3, of_one=2)

    took = [places.take(source) for source in ("a", "a", "a", "b", "c")]

    assert took == [True, True, False, True, False]
    assert places.taken == 3


def test_a_place_that_is_given_back_is_there_for_another() -> None:
    places = Places(most=1, of_one=1)
    places.take("a")
    places.leave("a")

    assert (places.taken, places.take("b"), places.take("a")) == (0, True, False)


def test_a_line_a_second_is_told_and_the_others_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = iter((1.0, 1.2, 1.9, 2.1, 2.5, 9.0))
    monkeypatch.setattr(diagnostics, "time", SimpleNamespace(monotonic=now_s.__next__))
    telling = Diagnostics()

    for text in "abcdef":
        telling.tell(text)

    assert capsys.readouterr().err == "a\nd (and 2 more)\nf (and 1 more)\n"
