"""The verdict on a dry run, and how drift is printed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pyinfra_gvisor.drift.printed import as_details, as_json, as_table
from pyinfra_gvisor.drift.record import HostRecord, Record, Said
from pyinfra_gvisor.drift.run import Ran, Request
from pyinfra_gvisor.drift.verdict import ERROR, IN_SYNC, PENDING, Drift, judge
from tests.table import table

REQUEST = Request("inventories/run.py", ("deploys/gvisor.py",))


def host(name: str, **changes: Any) -> HostRecord:
    """A host that was reached and has one operation."""
    plain = {"groups": ("run",), "chosen": True, "connected": True, "failed": False}
    known = {**plain, "operations": 1, "said": (), **changes}
    return HostRecord(name=name, **{**known, "said": tuple(known["said"])})


def unreachable(name: str, why: str) -> HostRecord:
    """A host that was not reached."""
    said = [Said(level="error", text=why)]
    return host(name, connected=False, failed=True, operations=0, said=said)


def step(
    *changing: str, name: str = "Install", maybe: Sequence[str] = (), names: Sequence[str] = ()
) -> dict[str, object]:
    """An operation of pyinfra's plan."""
    return {
        "op_hash": "5f1c",
        "name": name,
        "names": list(names or [name]),
        "args": [],
        "hosts_with_change": list(changing),
        "hosts_with_conditional_change": list(maybe),
    }


def ran(
    *hosts: HostRecord,
    plan: Sequence[dict[str, object]] | None = (step(),),
    code: int | None = 0,
    stderr: str = "",
    looks_for_changes: bool = True,
    deploys: Sequence[int] = (0,),
) -> Ran:
    """A run; with ``plan=None`` one that printed none."""
    record = Record(looks_for_changes=looks_for_changes, hosts=hosts, deploys=tuple(deploys))
    stdout = "" if plan is None else json.dumps({"plan": list(plan), "results": None}) + "\n"
    return Ran(code, stdout, stderr, record.model_dump_json())


REFUSED = Said(level="error", text="docker.daemon_json: refused")
RISK = Said(level="warning", text="a risk was accepted")


def states(run: Ran) -> dict[str, str]:
    return {found.name: found.state for found in judge(REQUEST, run).hosts}


def test_hosts_without_changes_are_in_sync_and_no_hosts_are_not() -> None:
    drift = judge(REQUEST, ran(host("b"), host("a")))

    assert drift.code == IN_SYNC
    assert [found.name for found in drift.hosts] == ["a", "b"]
    assert drift.errors == ()
    assert Drift(hosts=(), errors=()).code == ERROR


def test_an_operation_that_would_change_a_host_is_pending_there_only() -> None:
    drift = judge(REQUEST, ran(host("a"), host("b"), plan=[step("b", name="Install runsc")]))

    assert drift.code == PENDING
    assert [(found.state, found.pending) for found in drift.hosts] == [
        ("in-sync", ()),
        ("pending", ("Install runsc",)),
    ]


def test_all_names_of_an_operation_are_told_and_what_depends_on_another_does_not_count() -> None:
    named = judge(REQUEST, ran(host("a"), plan=[step("a", name="X", names=["Install", "Remove"])]))
    depending = judge(REQUEST, ran(host("a"), plan=[step(maybe=["a"], name="Restart")]))

    assert named.hosts[0].pending == ("Install or Remove",)
    assert depending.code == IN_SYNC
    assert depending.hosts[0].conditional == ("Restart",)


def test_a_host_that_was_not_reached_outweighs_changes_and_hides_no_host() -> None:
    run = ran(host("a"), unreachable("b", "no route"), plan=[step("a")], code=1)
    none = ran(unreachable("a", "no"), unreachable("b", "no"), plan=None, code=1, deploys=())

    drift = judge(REQUEST, run)

    assert drift.code == judge(REQUEST, none).code == ERROR
    assert states(run) == {"a": "pending", "b": "unreachable"}
    assert states(none) == {"a": "unreachable", "b": "unreachable"}
    assert drift.hosts[1].errors == ("no route",)
    assert drift.errors == judge(REQUEST, none).errors == ()


SILENT, NOTHING = "failed without an error message", "no deploy has an operation for this host"


@table(
    "found, state, errors, details",
    failed_in_the_checks=(host("a", failed=True, said=[REFUSED]), "failed", (REFUSED.text,), ()),
    # pyinfra itself ends with 0 then, because what refuses is not executed.
    an_operation_that_refuses=(host("a", said=[REFUSED]), "failed", (REFUSED.text,), ()),
    failed_silently=(host("a", failed=True), "failed", (SILENT,), ()),
    a_warning=(host("a", said=[RISK]), "in-sync", (), (RISK.text,)),
    no_operations=(host("a", operations=0), "unknown", (NOTHING,), ()),
)
def test_a_host_is_in_sync_unless_something_was_refused_or_it_has_no_operations(
    found: HostRecord, state: str, errors: tuple[str, ...], details: tuple[str, ...]
) -> None:
    changing = ["a"] if state == "failed" else []
    run = ran(found, host("b"), plan=[step(*changing)], code=int(found.failed))

    drift = judge(REQUEST, run)

    assert drift.code == (IN_SYNC if state == "in-sync" else ERROR)
    assert states(run) == {"a": state, "b": "in-sync"}
    assert (drift.hosts[0].errors, drift.hosts[0].details) == (errors, details)


def test_each_deploy_needs_operations() -> None:
    request = replace(REQUEST, deploys=("deploys/gvisor.py", "deploys/empty.py"))

    drift = judge(request, ran(host("a")))

    assert drift.code == ERROR
    assert drift.errors == ("deploys/empty.py has no operation for any host",)


def test_a_host_that_a_limit_leaves_out_is_not_part_of_the_verdict() -> None:
    request = replace(REQUEST, limits=("a",))

    drift = judge(request, ran(host("a"), host("b", chosen=False, connected=False, operations=0)))

    assert drift.code == IN_SYNC
    assert [found.name for found in drift.hosts] == ["a"]


@table(
    "pattern, is_known",
    {"a*": ("a*", True), "[ab]": ("[ab]", True), "can*": ("can*", False)},
    name=("a", True),
    group=("canary", True),
    another=("b", False),
    capital=("A", False),
)
def test_a_limit_matches_names_by_pattern_and_groups_by_name(pattern: str, is_known: bool) -> None:
    run = ran(host("a", groups=("canary",)))

    alone, two = (judge(replace(REQUEST, limits=it), run) for it in ((pattern,), ("a", pattern)))

    assert [drift.code for drift in (alone, two)] == [IN_SYNC if is_known else ERROR] * 2
    said = f"--limit matches no host and no group, got {pattern}"
    assert two.errors == (() if is_known else (said,))


@table(
    "run, said",
    no_hosts=(ran(plan=[], deploys=()), "the inventory has no hosts"),
    nothing_chosen=(ran(host("a", chosen=False), plan=[], deploys=()), "no host is left"),
    yes=(ran(host("a"), looks_for_changes=False), "did not look for changes"),
    before_the_record=(Ran(1, "", "No deploy file: x.py", None), "x.py"),
    no_record=(Ran(0, "", "", None), "config file"),
    another_record=(Ran(0, "", "", '{"hosts": []}'), "record"),
    failed_without_a_reason=(ran(host("a"), code=1), "exit code 1"),
    killed=(ran(host("a"), code=-9), "exit code -9"),
    no_plan=(ran(host("a"), plan=None), "exit code 0"),
    too_slow=(ran(host("a"), plan=None, code=None), "within 900 s"),
    a_stranger=(ran(host("a"), plan=[step("c")]), "was not chosen, got c"),
    plan_cut_short=(ran(host("a"), plan=[]), "more operations than"),
)
def test_a_run_that_proves_nothing_is_an_error_that_says_why(run: Ran, said: str) -> None:
    drift = judge(REQUEST, run)

    assert drift.code == ERROR
    assert any(said in error for error in drift.errors), drift.errors


@table(
    "stdout",
    interrupted="Exiting upon user request!\n",
    cut='{"plan": [], "results": null',
    without_a_plan='{"results": null}',
    without_hosts='{"plan": [{"name": "x"}], "results": null}',
    a_real_run='{"plan": [], "results": {"totals": {}}}',
    a_list="[]",
    a_deploy_that_prints='hello\n{"plan": [], "results": null}',
)
def test_output_that_is_not_understood_is_an_error_and_hosts_are_still_named(stdout: str) -> None:
    run = replace(ran(host("a"), unreachable("b", "no route")), stdout=stdout)

    drift = judge(REQUEST, run)

    assert drift.code == ERROR
    assert any("pyinfra's output cannot be read" in error for error in drift.errors)
    assert states(run) == {"a": "unknown", "b": "unreachable"}


def test_a_run_that_broke_shows_the_last_lines_of_pyinfra() -> None:
    stderr = "\n".join(f"line {number}" for number in range(40)) + "\n\n"

    drift = judge(REQUEST, ran(host("a"), plan=None, code=1, stderr=stderr))

    assert drift.errors[0] == "pyinfra ended with exit code 1; its last lines:"
    assert drift.errors[-1] == "  line 39"
    assert len(drift.errors) == 13


SLOW = "Could not connect: " + "a long story " * 12


def printed(*hosts: HostRecord, **run: object) -> list[str]:
    return as_table(judge(REQUEST, ran(*hosts, **run)))  # type: ignore[arg-type]


def test_a_table_names_every_host_and_what_is_pending() -> None:
    plan = [step("run-2", name="Install"), step("run-2", "run-3", name="Prove")]

    lines = printed(host("run-1"), host("run-2"), unreachable("run-30", "no route"), plan=plan[:0])
    pending = printed(host("run-1"), host("run-2"), host("run-3"), plan=plan)

    assert lines[-1] == "error: 2 unknown, 1 unreachable, of 3 hosts"
    assert pending == [
        "HOST   STATE    PENDING, OR WHAT IS WRONG",
        "run-1  in-sync  -",
        "run-2  pending  Install",
        "                Prove",
        "run-3  pending  Prove",
        "pending: 1 in-sync, 2 pending, of 3 hosts",
    ]


def test_the_containers_of_hosts_that_told_them_are_counted_before_the_verdict() -> None:
    two = host("a").model_copy(update={"containers": (9, 12, 1)})

    drift = judge(REQUEST, ran(two, host("b")))

    assert as_table(drift)[-2] == "9 of 12 containers run in gVisor on 1 of 2 hosts."
    found = [item["containers"] for item in json.loads(as_json(drift))["hosts"]]
    assert found == [{"in_gvisor": 9, "running": 12}, None]


def test_the_last_line_and_the_document_have_the_verdict() -> None:
    document = json.loads(as_json(judge(REQUEST, ran(plan=[]))))

    assert printed(host("a"))[-1] == "in-sync: 1 host as declared"
    assert printed(host("a"), host("b"))[-1] == "in-sync: 2 hosts as declared"
    assert printed(plan=[])[-1] == "error: no host was checked"
    assert (document["verdict"], document["exit_code"]) == ("error", 1)
    said = "the inventory has no hosts, got inventories/run.py; look at its path"
    assert document["errors"] == [said]


@pytest.mark.parametrize("name", ["a", "a" * 36, "a" * 80])
def test_no_line_is_wider_than_a_terminal(name: str) -> None:
    lines = printed(unreachable(name, SLOW), host("b"), plan=None, code=1, stderr=SLOW)

    assert max(map(len, lines)) <= 100
    assert sum("a long story" in line for line in lines) > 2
    assert any(line.startswith(name) for line in lines)


def test_a_name_that_is_too_long_for_the_table_has_a_line_of_its_own() -> None:
    lines = printed(host("a" * 80), host("b"))

    assert lines[1] == "a" * 80
    assert lines[2].strip().startswith("in-sync")
    assert lines[2].index("in-sync") == lines[3].index("in-sync")


def test_details_are_a_line_each_behind_their_host_and_cannot_move_the_cursor() -> None:
    evil = [Said(level="error", text="\x1b[2Jgone\r\nsecond"), Said(level="info", text="\x1b[1m")]
    said = [Said(level="info", text="  @@ -1 +1 @@"), Said(level="warning", text="one\ntwo")]

    drift = judge(REQUEST, ran(host("a\x07", said=evil), code=1))
    details = as_details(judge(REQUEST, ran(host("a", said=said), host("b"))))

    lines = [*as_table(drift), *as_details(drift)]
    assert all(line.isprintable() for line in lines)
    assert any("gone" in line for line in lines)
    assert any("second" in line for line in lines)
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
                "containers": None,
            },
            {
                "name": "b",
                "state": "in-sync",
                "pending": [],
                "conditional": [],
                "errors": [],
                "details": [],
                "containers": None,
            },
        ],
    }
