"""What a node tells of the resolver on it, read."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.resolver.files import DIRECTORY, SERVICE
from pyinfra_gvisor.parts.resolver.state import ResolverState, read
from tests.unit.answers import answer
from tests.unit.resolver_answers import ABLE, there, told


def test_a_node_that_tells_nothing_has_nothing() -> None:
    assert parse_node(answer()).part(ResolverState) == ResolverState() == read([])


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(ResolverState(**ABLE), id="what-it-needs"),
        pytest.param(there(), id="installed"),
        pytest.param(
            there(
                strays=(f"{DIRECTORY}/a.py", f"{DIRECTORY}/b.py"),
                asks=("1f", "2f"),
                modules=(),
                socket="failed",
                service="activating",
            ),
            id="broken-and-asked",
        ),
    ],
)
def test_a_node_has_what_it_tells(found: ResolverState) -> None:
    assert parse_node([*told(found), *answer()]).part(ResolverState) == found


@pytest.mark.parametrize(
    ("found", "is_there", "answers"),
    [
        pytest.param(ResolverState(**ABLE, asks=("1f",)), False, False, id="nothing"),
        pytest.param(there(), True, True, id="all"),
        pytest.param(there(service="failed"), True, False, id="no-program"),
        pytest.param(there(socket="inactive"), True, False, id="no-socket"),
        pytest.param(ResolverState(enabled=True), True, False, id="a-link"),
        pytest.param(ResolverState(strays=("/x",)), True, False, id="a-stray"),
        pytest.param(there((), socket="active", enabled=False), False, True, id="no-file-left"),
    ],
)
def test_whether_any_of_it_is_there_and_whether_it_answers(
    found: ResolverState, is_there: bool, answers: bool
) -> None:
    assert (found.there, found.answers) == (is_there, answers)


@pytest.mark.parametrize(
    "line", [pytest.param("sum", id="cut-short"), pytest.param(f"stat {SERVICE}", id="no-path")]
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node([f"resolver {line}", *answer()])
