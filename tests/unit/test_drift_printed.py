"""How drift is told: a table for people, a document for programs."""

from __future__ import annotations

import json

import pytest

from pyinfra_gvisor.drift.printed import as_details, as_json, as_table
from pyinfra_gvisor.drift.record import HostRecord, Said
from pyinfra_gvisor.drift.verdict import judge
from tests.unit.drift_runs import REQUEST, host, ran, step, unreachable

SLOW = "Could not connect: " + "a long story " * 12


def table(*hosts: HostRecord, **run: object) -> list[str]:
    return as_table(judge(REQUEST, ran(*hosts, **run)))  # type: ignore[arg-type]


def test_a_table_names_every_host_and_what_is_pending() -> None:
    plan = [step("run-2", name="Install"), step("run-2", "run-3", name="Prove")]

    lines = table(host("run-1"), host("run-2"), unreachable("run-30", "no route"), plan=plan[:0])
    pending = table(host("run-1"), host("run-2"), host("run-3"), plan=plan)

    assert lines[-1] == "error: 2 unknown, 1 unreachable, of 3 hosts"
    assert pending == [
        "HOST   STATE    PENDING, OR WHAT IS WRONG",
        "run-1  in-sync  -",
        "run-2  pending  Install",
        "                Prove",
        "run-3  pending  Prove",
        "pending: 1 in-sync, 2 pending, of 3 hosts",
    ]


def test_the_last_line_is_the_verdict() -> None:
    assert table(host("a"))[-1] == "in-sync: 1 host as declared"
    assert table(host("a"), host("b"))[-1] == "in-sync: 2 hosts as declared"
    assert table(plan=[])[-1] == "error: no host was checked"


@pytest.mark.parametrize("name", ["a", "a" * 36, "a" * 80])
def test_no_line_is_wider_than_a_terminal(name: str) -> None:
    lines = table(unreachable(name, SLOW), host("b"), plan=None, code=1, stderr=SLOW)

    assert max(map(len, lines)) <= 100
    assert sum("a long story" in line for line in lines) > 2
    assert any(line.startswith(name) for line in lines)


def test_a_name_that_is_too_long_for_the_table_has_a_line_of_its_own() -> None:
    lines = table(host("a" * 80), host("b"))

    assert lines[1] == "a" * 80
    assert lines[2].strip().startswith("in-sync")
    assert lines[2].index("in-sync") == lines[3].index("in-sync")


def test_what_a_node_says_cannot_move_the_cursor() -> None:
    said = [Said(level="error", text="\x1b[2Jgone\r\nsecond"), Said(level="info", text="\x1b[1m")]
    drift = judge(REQUEST, ran(host("a\x07", said=said), code=1))

    lines = [*as_table(drift), *as_details(drift)]

    assert all(line.isprintable() for line in lines)
    assert any("gone" in line for line in lines)
    assert any("second" in line for line in lines)


def test_details_are_told_a_line_each_behind_their_host() -> None:
    said = [Said(level="info", text="  @@ -1 +1 @@"), Said(level="warning", text="one\ntwo")]

    details = as_details(judge(REQUEST, ran(host("a", said=said), host("b"))))

    assert details == ["[a]   @@ -1 +1 @@", "[a] one", "[a] two"]


def test_the_document_holds_the_plan_by_host() -> None:
    said = [Said(level="info", text="+ ü")]
    plan = [step("a", name="Install"), step(maybe=["a"], name="Restart")]

    text = as_json(judge(REQUEST, ran(host("a", said=said), host("b"), plan=plan)))

    assert text.isascii()
    assert json.loads(text) == {
        "version": 1,
        "verdict": "pending",
        "exit_code": 2,
        "errors": [],
        "hosts": [
            {
                "name": "a",
                "state": "pending",
                "pending": [{"name": "Install"}],
                "conditional": [{"name": "Restart"}],
                "errors": [],
                "details": ["+ ü"],
            },
            {
                "name": "b",
                "state": "in-sync",
                "pending": [],
                "conditional": [],
                "errors": [],
                "details": [],
            },
        ],
    }


def test_the_document_of_an_error_holds_its_text() -> None:
    document = json.loads(as_json(judge(REQUEST, ran(plan=[]))))

    assert document["verdict"] == "error"
    assert document["exit_code"] == 1
    assert document["errors"] == [
        "the inventory has no hosts, got inventories/run.py; look at its path"
    ]
