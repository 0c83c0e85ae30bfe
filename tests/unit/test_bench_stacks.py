"""The bench compares network stacks only by answers that came, of containers that have them."""

from __future__ import annotations

import json

import pytest

from tests.bench.measure import BenchError
from tests.bench.report import stacks_table, start_sentence
from tests.bench.results import Stacked
from tests.bench.stacks import (
    cpu_ms_per_thousand,
    cpu_s_per_gb,
    gbit_per_s,
    thousands_per_s,
    trials,
)
from tests.bench.start import Started
from tests.bench.web import is_as_called
from tests.bench.wrk import SCRIPT, Answers, answers, command

SAID = {
    "answers": 8000,
    "bytes": 10_000_000,
    "failed": 0,
    "took_us": 2_000_000,
    "median_us": 315,
    "p99_us": 1670,
}
ANSWERS = Answers(number=8000, size_bytes=10_000_000, took_s=2.0, median_ms=0.315, p99_ms=1.67)
SANDBOX = "runsc-sandbox --log-format=json --network={} --root=/var/run/docker boot"


def wrk_output(**others: int) -> str:
    """What wrk prints, with our line at its end."""
    return f"Running 2s test @ http://x\nRequests/sec:   1.00\n{json.dumps({**SAID, **others})}\n"


def test_what_wrk_says_is_read_from_the_line_of_our_script() -> None:
    assert answers(wrk_output()) == ANSWERS


def test_the_script_says_all_that_is_read() -> None:
    assert [key for key in SAID if f'"{key}": %d'.encode() not in SCRIPT] == []


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(wrk_output(failed=1), id="an-error"),
        pytest.param(wrk_output(answers=0), id="no-answer"),
        pytest.param("unable to connect to x:8000 Connection refused\n", id="no-line"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_trial_with_an_error_or_without_answers_does_not_count(output: str) -> None:
    with pytest.raises(BenchError):
        answers(output)


def test_wrk_ends_by_itself_and_is_stopped_if_it_does_not() -> None:
    asked = command("http://x", "--connections=8", duration_s=2)

    assert asked[:3] == ("timeout", "30", "wrk")
    assert "--duration=2s" in asked
    assert asked[-2:] == ("--connections=8", "http://x")


def test_numbers_are_of_answers_and_of_the_nodes_processor_time() -> None:
    assert thousands_per_s(ANSWERS, 1.6) == pytest.approx(4)
    assert cpu_ms_per_thousand(ANSWERS, 1.6) == pytest.approx(200)
    assert gbit_per_s(ANSWERS, 1.6) == pytest.approx(0.04)
    assert cpu_s_per_gb(ANSWERS, 1.6) == pytest.approx(160)


def test_every_number_has_a_row_of_its_own() -> None:
    rows = [taken.what for trial in trials() for taken in trial.takes]

    assert len(set(rows)) == len(rows) > 0


@pytest.mark.parametrize(
    ("kind", "process"),
    [
        pytest.param("runc", "nginx: master process nginx -e stderr", id="runc"),
        pytest.param("runsc", SANDBOX.format("host"), id="the-nodes-stack"),
        pytest.param("gvisor", SANDBOX.format("sandbox"), id="gvisors-own-stack"),
    ],
)
def test_a_container_is_taken_for_what_its_process_shows(kind: str, process: str) -> None:
    is_as_called(kind, kind, process)


@pytest.mark.parametrize(
    ("kind", "runtime", "process"),
    [
        pytest.param("runc", "runc", SANDBOX.format("host"), id="runc-in-a-sandbox"),
        pytest.param("runsc", "runsc", "nginx: master process", id="no-sandbox"),
        pytest.param("runsc", "runsc", SANDBOX.format("sandbox"), id="another-stack"),
        pytest.param("gvisor", "gvisor", SANDBOX.format("host"), id="the-nodes-stack"),
        pytest.param(
            "gvisor", "gvisor", f"{SANDBOX.format('sandbox')} --network=host", id="both-stacks"
        ),
        pytest.param("gvisor", "gvisor", "runsc-sandbox boot", id="no-stack-named"),
        pytest.param("gvisor", "runsc", SANDBOX.format("sandbox"), id="another-runtime"),
    ],
)
def test_a_container_that_is_not_what_its_row_says_does_not_count(
    kind: str, runtime: str, process: str
) -> None:
    with pytest.raises(BenchError):
        is_as_called(kind, runtime, process)


def test_stacks_are_compared_by_medians() -> None:
    results = [
        Stacked("many", {"runc": [8.0, 9.0, 1.0], "runsc": [4.0], "gvisor": [2.0, 1.0, 9.0]}),
        Stacked("one, ms", {"runc": [0.05], "runsc": [0.2], "gvisor": [0.1]}, ".3f"),
    ]

    rows = [[cell.strip() for cell in row.split("|")] for row in stacks_table(results).splitlines()]

    assert rows[0][2:5] == [
        "runc (min to max)",
        "`network: host` (min to max)",
        "`network: sandbox` (min to max)",
    ]
    assert rows[0][5:8] == ["host / runc", "sandbox / runc", "sandbox / host"]
    assert rows[2][1:8] == [
        *("many", "8.00 (1.00 to 9.00)", "4.00 (4.00 to 4.00)", "2.00 (1.00 to 9.00)"),
        *("0.50", "0.25", "0.50"),
    ]
    assert rows[3][1:3] == ["one, ms", "0.050 (0.050 to 0.050)"]
    assert rows[3][5:8] == ["4.00", "2.00", "0.50"]


def test_what_names_add_to_a_start_is_told_by_medians_with_its_goal() -> None:
    assert start_sentence(Started([2.0, 1.0, 9.0], [6.0, 5.5, 1.0])) == (
        "The wrapper of a runtime with `dns` takes 5.50 ms of a container's start, the wrapper of "
        "another runtime 2.00 ms (medians of 3): 3.50 ms more; goal: less than 5, pass."
    )
    assert start_sentence(Started([1.0], [6.0])).endswith("5.00 ms more; goal: less than 5, miss.")
