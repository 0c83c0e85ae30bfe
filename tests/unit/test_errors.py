"""The form of an error message."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import INPUT_LIMIT, Problem, cut


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        pytest.param(Problem("is a directory"), "is a directory", id="what"),
        pytest.param(Problem("is wrong", got="x"), "is wrong, got x", id="what-and-got"),
        pytest.param(Problem("is wrong", todo="mend it"), "is wrong; mend it", id="what-and-todo"),
        pytest.param(
            Problem("is wrong", got=[1, "a"], todo="mend it"),
            "is wrong, got [1, 'a']; mend it",
            id="all-three",
        ),
        pytest.param(Problem("must not be 0", got=0), "must not be 0, got 0", id="got-is-zero"),
        pytest.param(Problem("must be set", got=""), "must be set, got ", id="got-is-empty"),
    ],
)
def test_a_problem_says_what_is_wrong_then_what_it_got_then_what_to_do(
    problem: Problem, text: str
) -> None:
    assert str(problem) == text


def test_a_problem_at_a_place_names_operation_file_and_host_first() -> None:
    problem = Problem("is a directory", todo="remove it")

    line = problem.at("docker.daemon_json", "/etc/docker/daemon.json", "run-3")

    assert line == (
        "docker.daemon_json: /etc/docker/daemon.json on run-3: is a directory; remove it"
    )


def test_a_problem_keeps_its_parts_for_who_puts_them_elsewhere() -> None:
    problem = Problem("is wrong", got=3, todo="mend it")

    assert (problem.what, problem.got, problem.todo) == ("is wrong", 3, "mend it")


def test_a_problem_is_a_value_error_so_that_pydantic_takes_it_as_its_own() -> None:
    assert issubclass(Problem, ValueError)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("short", "short", id="short-text"),
        pytest.param("x" * 60, "x" * 60, id="just-fits"),
        pytest.param("x" * 61, "x" * 59 + "…", id="one-too-long"),
        pytest.param("a\nb\tc\x1b[31md", "a?b?c?[31md", id="control-characters"),
        pytest.param("gr\u00fc\u00df", "gr\u00fc\u00df", id="unicode"),
        pytest.param("a\u202eb\u2028c", "a?b?c", id="invisible-unicode"),
        pytest.param(None, "None", id="none"),
        pytest.param(20260928.0, "20260928.0", id="a-number"),
        pytest.param({"a": "b"}, "{'a': 'b'}", id="a-mapping"),
    ],
)
def test_input_is_shown_on_one_printable_line(value: object, shown: str) -> None:
    assert cut(value) == shown


def test_what_is_shown_of_a_long_input_is_exactly_the_limit() -> None:
    assert len(cut("x" * 10_000)) == INPUT_LIMIT == 60
