"""Which apps are moved, in which order, and how that is told."""

from typing import Any, Literal

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.moves.planned import Wanted, planned, wanted
from pyinfra_gvisor.moves.script import told as told_lines
from pyinfra_gvisor.report.moves import Move, Moves
from pyinfra_gvisor.report.outlooks import AppDifference, AppOutlook, AppOutlooks
from tests.table import table
from tests.unit.apps.looked import around, looked

NAMES = ("calm", "gapless", "differs", "fails", "refused", "writer", "once", "inside", "outside")


def outlook(name: str) -> AppOutlook:
    """What is known of an app of this name."""
    kinds: dict[str, Literal["fails", "differs", "outside"]]
    kinds = {"differs": "differs", "fails": "fails", "refused": "fails", "outside": "outside"}
    kind = kinds.get(name, "nothing known")
    rule = "refused" if name == "refused" else "raw-socket"
    found = () if kind not in ("fails", "differs") else (
        AppDifference(rule=rule, outlook=kind, seen="mount of /", what="", todo=""),  # type: ignore[arg-type]
    )  # fmt: skip
    now: Literal["gVisor", "runc"] = "gVisor" if name == "inside" else "runc"
    given = {"image": "x", "now": now, "runtime": "runsc", "differences": found}
    return AppOutlook(name=name, outlook=kind, **given)  # type: ignore[arg-type]


def plan(**given: Any) -> dict[str, tuple[str, str]]:
    """Where each app is to be and why, in the order of a plan."""
    _, found = around(*map(looked, NAMES))
    told = AppOutlooks(host="a", apps=tuple(map(outlook, NAMES)), assumed=False, switched=True)
    looks = [
        {
            "id": looked(name)["Id"],
            "why_not": "it is removed when it stops (--rm)" if name == "once" else "",
            "gapless": name == "gapless",
            "away_s": 0 if name == "gapless" else 40,
            "wrote": ["/app/data.db"] if name == "writer" else [],
        }
        for name in NAMES
    ]
    made = planned(Wanted(**given), told, found, [{"unfinished": "x"}, *looks])
    return {item.move.name: (item.move.where, item.move.why) for item in made}


def test_what_is_known_and_quick_comes_first_and_what_is_left_last() -> None:
    made = plan()

    assert [*made] == ["gapless", "calm", "differs", "once", "writer", "fails", "refused"]
    assert [name for name, (where, _) in made.items() if where == "next"] == [*made][:3]
    assert made["fails"][1].startswith("it would fail (raw-socket): see pyinfra-gvisor apps")
    assert made["refused"][1] == "it would be refused: mount of /"
    assert made["once"][1] == "it is removed when it stops (--rm)"
    assert "/app/data.db. Use a volume, or add --leave-writes" in made["writer"][1]


@table(
    "given, expected",
    failing=({"failing": True}, {"gapless", "calm", "differs", "fails"}),
    writes=({"leave_writes": True}, {"gapless", "calm", "differs", "writer"}),
    one=({"apps": ("calm",)}, {"calm"}),
    accepted=({"apps": ("outside",)}, set()),
)
def test_more_or_less_is_moved_if_somebody_asks(given: dict[str, Any], expected: set[str]) -> None:
    made = plan(**given)

    assert {name for name, (where, _) in made.items() if where == "next"} == expected


def test_an_app_that_is_not_there_is_no_plan() -> None:
    with pytest.raises(Problem, match="did you mean calm"):
        plan(apps=("clam",))


@table(
    "given, what",
    text=({"apps": "shop"}, "move_apps is no list"),
    flag=({"apps": ["--rm"]}, "move_apps is no list"),
    none=({"watch_s": 0}, "move_watch_s is no such number"),
    words=({"max_failed": "2"}, "move_max_failed is no such number"),
    perhaps=({"failing": "yes"}, "move_failing is neither"),
)
def test_what_is_no_move_is_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(Problem, match=what):
        wanted(given)


def test_nothing_said_is_the_usual() -> None:
    assert wanted({}) == Wanted()


def test_the_result_is_a_line_for_each_app_and_what_to_do() -> None:
    given = [
        Move(name="a", where="moved", gapless=True, away_s=0.0),
        Move(name="b", app="shop", where="moved", away_s=1.26),
        Move(name="c", where="back", why="it ended with code 3", told=("no\x1b",)),
        Move(name="d", where="next", foretold_s=40),
    ]
    found = Moves(host="h", moves=tuple(given), stopped=True)

    assert [*found.lines] == [
        "moved   a: without a gap",
        "moved   b of shop: away for 1.3 s",
        "back    c: it ended with code 3",
        "        no?",
        "next    d: away for at most 40 s",
        "stopped: the others were not begun",
    ]
    assert [*Moves.closing([found])] == [
        "Summary: 2 moved, 1 went back, 1 next",
        "next: pyinfra-gvisor try, then change these or accept them: c",
    ]
    assert [*Moves(host="h", moves=()).lines] == [
        "every container of this node runs in gVisor, or is accepted for runc"
    ]


def test_a_cut_answer_is_no_answer() -> None:
    with pytest.raises(ValueError, match="incomplete: it ends with"):
        told_lines(["{}"])
