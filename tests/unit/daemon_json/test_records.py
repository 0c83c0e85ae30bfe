"""Our records and generations: read, lost, damaged or newer, and gone back to."""

from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.generations import Generation, choose, parse_generations, undone
from pyinfra_gvisor.daemon_json.merge import GVISOR, Owned, flatten, merge
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.records import (
    COPY_JSON,
    OWNED_JSON,
    UnusableRecord,
    harmless_faults,
    mending,
    newer,
    owned_by_us,
)
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.records import VERSIONS
from pyinfra_gvisor.planning.wanted import plan_without_us
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import RUNSC, after, compact, in_base64, node

ORIGINAL = '{\r\n\t"dns": ["1.1.1.1"] }'
WANTED: dict[str, Json] = {"live-restore": True, "runtimes": {"runsc": RUNSC}}
CHANGED = after(plan_daemon_json(node(daemon_json=ORIGINAL), WANTED))
OWNED = Owned.load(CHANGED["state"]["owned"])
DAMAGED = {
    "missing": ({"without": ("state.owned",)}, "missing"),
    "empty": ({"state.owned": ""}, "damaged"),
    "cut-off": ({"state.owned": in_base64('{"paths": ')}, "damaged"),
    "a-list": ({"state.owned": in_base64("[]")}, "damaged"),
    "an-empty-object": ({"state.owned": in_base64("{}")}, "damaged"),
    "another-form": ({"state.owned": in_base64('{"paths": 7}')}, "damaged"),
    "no-version": ({"state.owned": in_base64('{"version": "x"}')}, "damaged"),
}
END = "end of generations"
TEXT = '{\r\n\t"bip": "gr\u00fc\u00df"\r\n}'
OLDER: dict[str, Json] = {"path": wrapper("runsc", "20260831.0", Runtime()).path}
OWNED_THEN = merge(TEXT, Owned(), {("runtimes", "runsc"): RUNSC}).owned


def changed(**given: Any) -> Node:
    """A node that we have changed, with this of it otherwise."""
    return node(**{**CHANGED, **given})


def without_copy(**given: Any) -> Node:
    """The same, and the second copy is gone, too."""
    return changed(**{**given, "without": (*given.get("without", ()), "state.owned.copy")})


@table("given, state", DAMAGED)
def test_a_lost_record_is_read_from_its_copy_and_that_is_said(given: Data, state: str) -> None:
    found = changed(**given)

    assert owned_by_us(found) == OWNED
    mended = mending(found)
    assert (mended.source, mended.target) == (COPY_JSON, OWNED_JSON)
    assert mended.why == f"{OWNED_JSON} is {state}: restore it"
    assert harmless_faults(found)[-1] == (OWNED_JSON, f"{state}; the second copy is used")


@table("given, state", DAMAGED)
def test_a_lost_record_without_a_copy_is_refused_with_the_way_out(given: Data, state: str) -> None:
    found = without_copy(**given)

    for plan in (lambda: plan_daemon_json(found, {}), lambda: plan_without_us(found, lambda: ())):
        with pytest.raises(UnusableRecord, match=f"{OWNED_JSON} is {state}, .* Lost records"):
            plan()
    assert mending(found) is None


def test_what_was_recovered_gives_the_original_back_to_the_byte() -> None:
    assert plan_daemon_json(changed(without=("state.owned",)), {}, owner=GVISOR).after == ORIGINAL


def test_a_record_without_a_copy_gets_one_and_then_rests() -> None:
    mended = mending(without_copy())

    assert (mended.source, mended.target) == (OWNED_JSON, COPY_JSON)
    assert mending(changed()) is None
    assert mending(node()) is None


@table(
    "given",
    nothing_of_ours={},
    first_change_undone={"state": {"last-run": {"result": "reverted"}}},
    only_a_proof={"state": {"proof": {"failed": []}}},
    older_set_up={"daemon_json": '{"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}}'},
    an_entry_of_somebodys={"daemon_json": compact({"runtimes": {"x": {**RUNSC, "a": 1}}})},
    an_entry_of_another_name={"daemon_json": compact({"runtimes": {"x": RUNSC}})},
    not_over_yet={"pending": "yes", "generations_owned": "yes"},
)
def test_a_node_without_a_record_is_new_where_there_never_was_one(given: Data) -> None:
    assert owned_by_us(node(**given)) == Owned()


@table(
    "given, said",
    applied=({"state.applied": in_base64("{}")}, "owned.json is missing"),
    applied_damaged=({"state.applied": in_base64("x")}, "owned.json is missing"),
    last_run=({"state": {"last-run": {"result": "applied"}}}, "owned.json is missing"),
    generations=({"generations_owned": "yes"}, "owned.json is missing"),
    nothing_but_our_runtime=(
        {"daemon_json": CHANGED["daemon_json"]},
        "owned.json is missing, but daemon.json has runtimes of ours, got runsc",
    ),
)
def test_what_only_we_can_have_left_shows_that_the_record_is_lost(given: Data, said: str) -> None:
    with pytest.raises(UnusableRecord, match=said):
        owned_by_us(node(**given))


@pytest.mark.parametrize("name", VERSIONS)
def test_a_record_of_a_newer_version_is_refused_by_name_with_both_versions(name: str) -> None:
    found = changed(**{f"state.{name}": in_base64('{"version": 999}')})

    refused = newer(found)
    with pytest.raises(UnusableRecord):
        plan_daemon_json(found, WANTED)

    assert f"/{name}.json is from a newer pyinfra-gvisor" in str(refused)
    assert f"knows version {VERSIONS[name]}, got version 999" in str(refused)


@pytest.mark.parametrize("name", ["applied", "last-run", "proof", "proof-try"])
def test_another_damaged_record_stops_no_run_and_what_it_means_is_said(name: str) -> None:
    found = changed(**{f"state.{name}": in_base64("garbage")})

    plan_daemon_json(found, WANTED)

    ((file, what),) = harmless_faults(found)
    assert file == f"/var/lib/pyinfra-gvisor/{name}.json"
    assert what.startswith("damaged: 7 characters that are not a record; ")


def kept(*numbers: int) -> list[Generation]:
    """Generations of these numbers, a day after another."""
    return [Generation(number=number, made_s=number * 86_400) for number in numbers]


def gone_back(number: int | None) -> Node:
    """A node whose newest change has taken it back to this generation."""
    return node(state={"applied": {"generation": number}})


def test_a_generation_is_read_to_the_byte_with_what_was_ours() -> None:
    lines = [
        "generation 3 1700000000",
        f"daemon 3 {in_base64(TEXT)}",
        f"owned 3 {in_base64(compact(OWNED_THEN.model_dump()))}",
        END,
    ]

    (found,) = parse_generations(lines)

    assert (found.number, found.made_s, found.text) == (3, 1_700_000_000, TEXT)
    assert (found.owned, found.values) == (OWNED_THEN, {("runtimes", "runsc"): RUNSC})


@table(
    "lines, read",
    never_changed=([], []),
    no_file=(["generation 1 1"], [(1, None)]),
    an_empty_file=(["generation 1 1", "daemon 1 "], [(1, "")]),
    by_number=(["generation 10 1", "generation 9 1"], [(9, None), (10, None)]),
)
def test_generations_are_read_oldest_first_with_their_files(
    lines: list[str], read: list[tuple[int, str | None]]
) -> None:
    found = parse_generations([*lines, END])

    assert [(item.number, item.text) for item in found] == read
    assert all(item.owned == Owned() for item in found)


@table(
    "lines",
    cut_off=["generation 3 1700000000"],
    no_number=["generation x 1700000000", END],
    no_time=["generation 3", END],
    no_time_but_a_word=["generation 3 soon", END],
    file_of_no_generation=["daemon 3 e30=", END],
    cut_base64=["generation 3 1", "daemon 3 e3", END],
    not_utf_8=["generation 3 1", "daemon 3 /w==", END],
)
def test_an_answer_that_is_malformed_is_an_error_of_this_host_alone(lines: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="the node's answer"):
        parse_generations(lines)


@table(
    "record, said",
    cut_off=("{", "damaged"),
    too_deep=("[" * 9999, "damaged"),
    another_form=('{"paths": 7}', "damaged"),
    newer=('{"version": 999}', "from a newer pyinfra-gvisor"),
)
def test_only_a_generation_whose_record_cannot_be_used_is_refused(record: str, said: str) -> None:
    lines = ["generation 3 1", f"owned 3 {in_base64(record)}", "generation 4 2", END]

    found = parse_generations(lines)

    assert choose(found, node(), None).number == 4
    with pytest.raises(Problem, match=rf"/generations/3/owned.json is {said}; choose another"):
        choose(found, node(), 3)


@table(
    "runtimes, releases, had",
    before_us=({}, (), "no gVisor"),
    a_release=({"runsc": OLDER, "net": OLDER}, ("20260831.0",), "20260831.0"),
    no_wrappers_of_ours=({"kata": {"path": "/opt/kata"}, "odd": "x"}, (), "no gVisor"),
)
def test_a_generation_says_when_it_was_left_and_which_release_it_had(
    runtimes: dict[str, Json], releases: tuple[str, ...], had: str
) -> None:
    owned = merge(None, Owned(), flatten({"runtimes": runtimes})).owned

    found = Generation(number=1, made_s=1_700_000_000, owned=owned)

    assert found.releases == releases
    assert found.story == f"until 2023-11-14 22:13 UTC, {had}"


@table(
    "found, number, expected",
    newest=(node(), None, 9),
    asked_for=(node(), 7, 7),
    gone_back_to_already=(gone_back(7), None, 7),
    asked_for_another=(gone_back(7), 8, 8),
    changed_since=(gone_back(None), None, 9),
    damaged_record=(node(state={"applied": []}), None, 9),
)
def test_the_generation_is_the_one_asked_for_or_gone_back_to_or_else_the_newest(
    found: Node, number: int | None, expected: int
) -> None:
    assert choose(kept(7, 8, 9), found, number).number == expected


def test_a_number_that_is_not_kept_is_refused_with_those_that_are() -> None:
    listed = r"7 \(until 1970-01-08 00:00 UTC, no gVisor\); 9 \(until 1970-01-10 00:00 UTC, no gV"

    with pytest.raises(Problem, match=f"^no such generation, got 3; set .* to one of {listed}"):
        choose(kept(7, 9), node(), 3)


@table("number", newest=None, asked=1)
def test_without_any_generation_there_is_nothing_to_go_back_to(number: Any) -> None:
    with pytest.raises(Problem, match="no generation is kept"):
        choose([], node(), number)


@table("number", newest=None, asked=3)
def test_where_the_node_was_taken_back_to_it_stays_when_that_is_no_longer_kept(number: Any) -> None:
    state = {"applied": {"generation": 3}, "owned": OWNED_THEN.model_dump()}
    found = node(daemon_json=TEXT, state=state)

    chosen = choose(kept(7, 8), found, number)

    assert (chosen.number, chosen.text, chosen.owned) == (3, TEXT, OWNED_THEN)
    assert chosen.story == "the current state, 20260928.0"


@table(
    "before, after, number, expected",
    undone=((1, 2), (1,), None, True),
    undone_and_asked_for=((1, 2), (1,), 2, True),
    an_earlier_one_is_asked_for=((1, 2), (1,), 1, False),
    the_only_one=((1,), (), None, True),
    finished=((1, 2), (1, 2), None, False),
    finished_and_an_old_one_dropped=((1, 2), (2,), None, False),
    nothing_was_interrupted=((), (1, 2), None, False),
)
def test_an_interrupted_change_that_was_undone_may_have_led_to_where_it_was_to_go(
    before: tuple[int, ...], after: tuple[int, ...], number: int | None, expected: bool
) -> None:
    assert undone(kept(*before), kept(*after), number) is expected
