"""How measured values are judged, and how that is told."""

from collections.abc import Sequence

import pytest

from pyinfra_gvisor.costs.measured import costs
from pyinfra_gvisor.costs.rows import KINDS, ROWS
from pyinfra_gvisor.report.costs import Cost, Costs
from tests.table import table
from tests.unit.costs.measured_rounds import measured, one_round


def judged(lines: Sequence[str], *runtimes: str) -> Costs:
    return costs("a", lines, runtimes or ("runsc",))


def cost(lines: Sequence[str]) -> Cost:
    """The one cost that was measured."""
    ((found,),) = (row.costs for row in judged(lines).rows)
    return found


def forks(*pairs: tuple[float, float]) -> list[str]:
    """The lines of rounds with these values of runc and of runsc."""
    return [
        line
        for runc, ours in pairs
        for line in one_round(runc={"fork": runc}, runsc={"fork": ours})
    ]


@table(
    "pairs, verdict, times",
    slower=([(1.0, 3.0)] * 5, "slower", 3.0),
    faster=([(1.0, 0.5)] * 5, "faster", 0.5),
    alike=([(1.0, 1.1)] * 5, "no clear difference", 1.1),
    now_and_then=([(1.0, 1.0), (1.0, 3.0)] * 3, "no clear difference", 2.0),
    in_step=([(1.0, 3.0), (1.2, 3.6), (1.4, 4.2)], "slower", 3.0),  # a node that slows down
    runc_alone_differs=([(1.0, 3.0), (9.0, 3.0)] * 3, "no clear difference", None),
    runc_differs_but_less=([(1.0, 50.0), (9.0, 50.0)] * 3, "slower", None),
)
def test_a_verdict_needs_half_of_the_rounds_and_a_steady_runc(
    pairs: list[tuple[float, float]], verdict: str, times: float | None
) -> None:
    found = cost(forks(*pairs))

    assert found.verdict == verdict
    assert found.times == (None if times is None else pytest.approx(times))


def test_what_runc_has_next_to_nothing_of_is_told_as_it_is() -> None:
    found = judged(measured(runc={"idle": 0.0}, runsc={"idle": 0.0021}))

    assert [(item.verdict, item.times) for item in found.rows[0].costs] == [("more", None)]
    assert "processor while idle      0.00 ms/s   2.1" in [*found.lines]


def test_a_runtime_that_does_not_start_is_named_with_the_reason_and_others_are_told() -> None:
    lines = ["strict\tfailed\tno such thing", *measured(runc={"cpu": 1.0}, runsc={"cpu": 2.0})]

    found = judged(lines, "runsc", "strict")

    assert found.runtimes == ("runsc",)
    assert "strict: nothing was measured: no such thing" in [*found.lines]


def test_a_round_that_failed_is_left_out() -> None:
    lines = ["runsc\tfailed\tonce", *one_round(runc={"cpu": 1.0}), *forks((1.0, 3.0), (1.0, 3.0))]

    found = judged(lines)

    assert (found.failed, cost(lines[2:]).times) == ({}, 3.0)


@table(
    "lines, why",
    none=([], "no round ended"),
    cut=(["runc\tcpu\t0.1"], "no round ended"),
    malformed=(["runc cpu", "round"], "not enough values"),
)
def test_an_answer_without_a_whole_round_is_an_error(lines: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        judged(lines)


def test_kinds_of_apps_name_rows_that_there_are_and_each_has_something_to_do() -> None:
    known = {row.id for row in ROWS}

    assert len(known) == len(ROWS)
    assert all({*kind.rows} <= known and kind.todo for kind in KINDS)


def test_the_table_fits_a_narrow_terminal_with_two_runtimes() -> None:
    values = {row.id: 0.0123456 for row in ROWS}

    found = judged(measured(runc=values, runsc=values, strict=values), "runsc", "strict")

    lines = [*found.lines]
    rows = lines[: 2 + len(ROWS)]
    assert max(map(len, rows)) <= 80
    assert any(line.startswith("PHP: ") and "open a file 1.0 / 1.0" in line for line in lines)


def test_the_end_says_why_a_number_is_missing_only_where_one_is() -> None:
    steady, unsteady = judged(forks((1.0, 3.0))), judged(forks((1.0, 3.0), (9.0, 3.0)))

    assert not any(line.startswith("No number") for line in Costs.closing([steady]))
    assert any(line.startswith("No number") for line in Costs.closing([steady, unsteady]))
