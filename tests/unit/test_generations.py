"""Generations: read from the node, chosen by number, and gone back to."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.generations import Generation, choose, parse_generations, undone
from pyinfra_gvisor.daemon_json.merge import Owned, flatten, merge
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.unit.answers import RUNSC, compact, node

END = "end of generations"
TEXT = '{\r\n\t"bip": "gr\u00fc\u00df"\r\n}'
OWNED = merge(TEXT, Owned(), {("runtimes", "runsc"): RUNSC}).owned


def encoded(text: str) -> str:
    """As the script prints a file."""
    return base64.b64encode(text.encode()).decode()


def kept(*numbers: int) -> list[Generation]:
    """Generations of these numbers, a day after another."""
    return [Generation(number=number, made_s=number * 86_400) for number in numbers]


def gone_back(number: int | None) -> Node:
    """A node whose newest change has taken it back to this generation."""
    return node(state={"applied": {"generation": number}})


def test_a_generation_is_read_to_the_byte_with_what_was_ours() -> None:
    lines = [
        "generation 3 1700000000",
        f"daemon 3 {encoded(TEXT)}",
        f"owned 3 {encoded(compact(OWNED.model_dump()))}",
        END,
    ]

    (found,) = parse_generations(lines)

    assert (found.number, found.made_s, found.text) == (3, 1_700_000_000, TEXT)
    assert found.owned == OWNED
    assert found.values == {("runtimes", "runsc"): RUNSC}


def test_a_generation_without_files_was_a_node_without_daemon_json_and_without_us() -> None:
    (found,) = parse_generations(["generation 1 1700000000", END])

    assert (found.text, found.owned) == (None, Owned())


def test_an_empty_file_is_not_an_absent_one() -> None:
    (found,) = parse_generations(["generation 1 1700000000", "daemon 1 ", END])

    assert found.text == ""


def test_generations_come_oldest_first_by_their_number() -> None:
    lines = [f"generation {number} 1700000000" for number in (10, 9, 11, 2)]

    found = parse_generations([*lines, END])

    assert [item.number for item in found] == [2, 9, 10, 11]


def test_a_node_that_was_never_changed_has_no_generations() -> None:
    assert parse_generations([END]) == ()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="nothing"),
        pytest.param(["generation 3 1700000000"], id="cut-off"),
        pytest.param(["generation x 1700000000", END], id="no-number"),
        pytest.param(["generation 3", END], id="no-time"),
        pytest.param(["generation", END], id="nothing-but-the-word"),
        pytest.param(["generation 3 soon", END], id="no-time-but-a-word"),
        pytest.param(["daemon 3 e30=", END], id="file-of-no-generation"),
        pytest.param(["generation 3 1", "daemon 3 e3", END], id="cut-base64"),
        pytest.param(["generation 3 1", "daemon 3", END], id="no-base64"),
        pytest.param(["generation 3 1", "daemon 3 /w==", END], id="not-utf-8"),
    ],
)
def test_an_answer_that_cannot_be_understood_is_an_error_of_this_host_alone(
    lines: Sequence[str],
) -> None:
    with pytest.raises(ValueError, match="the node's answer"):
        parse_generations(lines)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        pytest.param("{", "damaged", id="cut-off"),
        pytest.param("[" * 9999, "damaged", id="too-deep"),
        pytest.param('{"paths": 7}', "damaged", id="another-form"),
        pytest.param('{"version": 999}', "from a newer pyinfra-gvisor", id="newer"),
    ],
)
def test_a_generation_whose_record_cannot_be_used_is_refused_and_others_are_not(
    record: str, said: str
) -> None:
    lines = ["generation 3 1", f"owned 3 {encoded(record)}", "generation 4 2", END]

    found = parse_generations(lines)

    assert choose(found, node(), None).number == 4
    with pytest.raises(Problem, match=rf"/generations/3/owned.json is {said}; choose another"):
        choose(found, node(), 3)


@pytest.mark.parametrize(
    ("wanted", "releases", "story"),
    [
        pytest.param({}, (), "until 2023-11-14 22:13 UTC, no gVisor", id="before-us"),
        pytest.param(
            {
                "runtimes": {
                    "runsc": {"path": wrapper("runsc", "20260831.0", Runtime()).path},
                    "net": {"path": wrapper("net", "20260831.0", Runtime()).path},
                }
            },
            ("20260831.0",),
            "until 2023-11-14 22:13 UTC, 20260831.0",
            id="a-release",
        ),
        pytest.param(
            {"runtimes": {"kata": {"path": "/opt/kata"}, "odd": "x"}},
            (),
            "until 2023-11-14 22:13 UTC, no gVisor",
            id="no-wrappers-of-ours",
        ),
    ],
)
def test_a_generation_says_when_it_was_left_and_which_release_it_had(
    wanted: dict[str, Json], releases: tuple[str, ...], story: str
) -> None:
    owned = merge(None, Owned(), flatten(wanted)).owned

    found = Generation(number=1, made_s=1_700_000_000, owned=owned)

    assert found.releases == releases
    assert found.story == story


@pytest.mark.parametrize(
    ("found", "number", "expected"),
    [
        pytest.param(node(), None, 9, id="newest"),
        pytest.param(node(), 7, 7, id="asked-for"),
        pytest.param(gone_back(7), None, 7, id="gone-back-to-already"),
        pytest.param(gone_back(7), 8, 8, id="asked-for-another"),
        pytest.param(gone_back(None), None, 9, id="changed-since"),
        pytest.param(node(state={"applied": []}), None, 9, id="damaged-record"),
    ],
)
def test_the_generation_is_the_one_asked_for_or_gone_back_to_or_else_the_newest(
    found: Node, number: int | None, expected: int
) -> None:
    assert choose(kept(7, 8, 9), found, number).number == expected


def test_a_number_that_is_not_kept_is_refused_with_those_that_are() -> None:
    listed = r"7 \(until 1970-01-08 00:00 UTC, no gVisor\); 9 \(until 1970-01-10 00:00 UTC, no gV"

    with pytest.raises(Problem, match=f"^no such generation, got 3; set .* to one of {listed}"):
        choose(kept(7, 9), node(), 3)


@pytest.mark.parametrize("number", [pytest.param(None, id="newest"), pytest.param(1, id="asked")])
def test_without_any_generation_there_is_nothing_to_go_back_to(number: Any) -> None:
    with pytest.raises(Problem, match="no generation is kept"):
        choose([], node(), number)


@pytest.mark.parametrize("number", [pytest.param(None, id="newest"), pytest.param(3, id="asked")])
def test_where_the_node_was_taken_back_to_it_stays_when_that_is_no_longer_kept(number: Any) -> None:
    state = {"applied": {"generation": 3}, "owned": OWNED.model_dump()}
    found = node(daemon_json=TEXT, state=state)

    chosen = choose(kept(7, 8), found, number)

    assert (chosen.number, chosen.text, chosen.owned) == (3, TEXT, OWNED)
    assert chosen.story == "the current state, 20260928.0"


@pytest.mark.parametrize(
    ("before", "after", "number", "expected"),
    [
        pytest.param((1, 2), (1,), None, True, id="undone"),
        pytest.param((1, 2), (1,), 2, True, id="undone-and-asked-for"),
        pytest.param((1, 2), (1,), 1, False, id="an-earlier-one-is-asked-for"),
        pytest.param((1,), (), None, True, id="the-only-one"),
        pytest.param((1, 2), (1, 2), None, False, id="finished"),
        pytest.param((1, 2), (2,), None, False, id="finished-and-an-old-one-dropped"),
        pytest.param((), (1, 2), None, False, id="nothing-was-interrupted"),
    ],
)
def test_an_interrupted_change_that_was_undone_may_have_led_to_where_it_was_to_go(
    before: tuple[int, ...], after: tuple[int, ...], number: int | None, expected: bool
) -> None:
    assert undone(kept(*before), kept(*after), number) is expected
