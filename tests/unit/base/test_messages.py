"""What people read: errors, the last lines of a run, and lines that are wider than the terminal."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyinfra_gvisor.base import columns
from pyinfra_gvisor.base.columns import continued, left_of, shortened, terminal_columns
from pyinfra_gvisor.base.errors import INPUT_LIMIT, Problem, cut
from pyinfra_gvisor.report.summary import HostEnd, Job, RunEnd, ended_early, outcome, summary


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


LONG = "docker.daemon_json: /etc/docker/daemon.json on run-1: dockerd does not start; run again"
URL = "https://storage.googleapis.com/gvisor/releases/release/20260928.0/x86_64/gvisor.tar.bz2"
RED, END = "\x1b[31m", "\x1b[0m"


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("width", [pytest.param(width, id=str(width)) for width in (40, 80, 120)])
def test_a_line_is_broken_between_words_and_loses_none(width: int) -> None:
    lines = continued(f"    [run-1] {LONG}", width, indent=14)

    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == f"[run-1] {LONG}"
    assert all(line.startswith(" " * 14) for line in lines[1:])


def test_spaces_inside_a_line_stay_where_it_is_not_broken() -> None:
    assert continued("a   b   c dd", 9, indent=2) == ["a   b   c", "  dd"]


def test_colours_take_no_columns() -> None:
    line = f"{RED}one{END} two {RED}three{END}"

    assert continued(line, len("one two three")) == [line]
    assert continued(line, len("one two")) == [f"{RED}one{END} two", f"{RED}three{END}"]


def test_a_url_is_shortened_in_its_middle_only_where_a_whole_line_is_too_short() -> None:
    whole, short = continued(f"from {URL}", 90), continued(f"from {URL}", 60)

    assert whole == ["from", URL]
    assert short[0] == "from"
    assert (len(short[1]), short[1][:8], short[1][-14:]) == (60, "https://", "gvisor.tar.bz2")
    assert "…" in short[1]


def test_a_word_that_is_no_path_is_never_cut() -> None:
    word = "0123456789" * 10

    assert continued(f"sha512 {word}", 40) == ["sha512", word]
    assert shortened(word, 40) == word
    assert shortened(f"{RED}/a/b/c/d{END}", 4) == f"{RED}/a/b/c/d{END}"


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        pytest.param("80", 120, 80, id="COLUMNS-first"),
        pytest.param("", 120, 120, id="terminal"),
        pytest.param("", None, None, id="no-terminal"),
        pytest.param("90", None, 90, id="COLUMNS-without-terminal"),
        pytest.param("wide", 120, 120, id="no-number"),
        pytest.param("0", None, None, id="zero"),
        pytest.param("5", None, 24, id="nothing-fits"),
        pytest.param("", 0, None, id="terminal-of-no-size"),
    ],
)
def test_the_width_is_that_of_the_terminal_that_messages_go_to(
    given: str, found: int | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size(_file: int) -> os.terminal_size:
        if found is None:
            raise OSError
        return os.terminal_size((found, 24))

    monkeypatch.setenv("COLUMNS", given)
    monkeypatch.setattr(os, "get_terminal_size", size)

    assert terminal_columns() == expected


def test_without_a_terminal_what_is_laid_out_has_one_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "terminal_columns", lambda: None)

    assert left_of(4) == left_of(40) == 100


def test_on_a_terminal_the_host_s_name_takes_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert left_of(12) == 68


PLAN = {"executed": False, "dry": True}
AFTER = "proven after changes"
KERNEL = "gVisor needs Linux 5.6 or later, got 4.19; upgrade the kernel"


def lines(*hosts: HostEnd, job: Job = "deploy", **run: Any) -> list[str]:
    """The summary without its colours."""
    return [text for text, _ in summary(RunEnd(job, hosts, **run))]


def test_a_first_run_says_who_is_proven_and_how_to_see_the_checks() -> None:
    done = HostEnd("run-1", changed=True, proven=True)

    assert lines(done, HostEnd("run-2", proven=True), rows_hidden=True) == [
        "Summary: 2 of 2 hosts proven",
        "proven after changes: run-1",
        "proven: run-2",
        "each check: --data gvisor_proof_rows=True, or pyinfra-gvisor apply --proof",
    ]


def test_every_outcome_has_its_hosts_and_every_cause_one_line() -> None:
    hosts = (
        HostEnd("a", proven=True),
        HostEnd("b", failed=True, refused=True, causes=(KERNEL,)),
        HostEnd("c", failed=True, changed=True, causes=("not proven: exec; run nothing here",)),
        HostEnd("d", reached=False, failed=True),
        HostEnd("e", failed=True, refused=True, causes=(KERNEL,)),
        HostEnd("f", failed=True),
    )

    assert lines(*hosts) == [
        "Summary: 1 of 6 hosts proven",
        "proven: a",
        "refused: b, e",
        "failed: c, f",
        "not reached: d",
        f"next: b, e: {KERNEL}",
        "next: c: not proven: exec; run nothing here",
        "next: d: no connection, see the reason above; check that you can log in yourself",
        "next: f: see the error above, then run again",
    ]


OF_THEM = "hosts as declared, 1 of them proven"


@pytest.mark.parametrize(
    ("job", "hosts", "counted"),
    [
        pytest.param("deploy", [{"proven": True}, {}, {}], f"3 of 3 {OF_THEM}", id="one"),
        pytest.param(
            "deploy", [{"proven": True}, {"changed": True}], f"2 of 2 {OF_THEM}", id="changed"
        ),
        pytest.param(
            "deploy", [{"proven": True}, {"failed": True}, {}], f"2 of 3 {OF_THEM}", id="failed"
        ),
        pytest.param(
            "deploy", [{"proven": True}, {"failed": True}], "1 of 2 hosts proven", id="other-failed"
        ),
        pytest.param("deploy", [{"proven": True}] * 2, "2 of 2 hosts proven", id="every"),
        pytest.param("deploy", [{}, {}], "2 of 2 hosts as declared", id="none"),
        pytest.param("deploy", [{"changed": True}], "1 of 1 host as declared", id="unproven"),
        pytest.param("audit", [{}], "1 of 1 host compliant", id="audit"),
        pytest.param("remove", [{"changed": True}], "1 of 1 host done", id="remove"),
        pytest.param("coolify", [{"reached": False}], "0 of 1 host done", id="coolify"),
    ],
)
def test_the_headline_counts_the_hosts_that_are_as_they_should_be(
    job: Job, hosts: list[dict[str, Any]], counted: str
) -> None:
    ends = [HostEnd(str(number), **given) for number, given in enumerate(hosts)]

    assert lines(*ends, job=job)[0] == f"Summary: {counted}"


def test_a_plan_says_what_is_pending_and_how_to_carry_it_out() -> None:
    hosts = (HostEnd("a", pending=True), HostEnd("b"), HostEnd("c", pending=True))

    assert lines(*hosts, dry=True, executed=False) == [
        "Summary of the plan: 1 of 3 hosts as declared",
        "as declared: b",
        "changes pending on 2 hosts: a, c",
        "next: run without --dry",
    ]


def test_where_nobody_pressed_enter_that_is_said() -> None:
    assert lines(HostEnd("a", pending=True), executed=False)[-1] == (
        "next: run again, and press Enter"
    )


def test_hosts_that_a_run_did_not_get_to_are_not_called_as_declared() -> None:
    hosts = (HostEnd("a"), HostEnd("b", looked_at=False), HostEnd("c", looked_at=False))

    assert lines(*hosts, executed=False) == [
        "Summary: 1 of 3 hosts as declared",
        "as declared: a",
        "not looked at: b, c",
        "next: run again: the run was ended before these hosts were looked at",
    ]


@pytest.mark.parametrize("job", ["deploy", "audit"])
def test_a_plan_with_y_looks_at_nothing_and_says_how_to_get_one(job: Job) -> None:
    assert lines(HostEnd("a", pending=None), job=job, **PLAN)[1:] == [
        "not looked at: a",
        "next: leave out -y: with --dry and -y pyinfra looks at nothing",
    ]


def test_keys_that_wait_for_a_restart_are_not_called_applied() -> None:
    hosts = (HostEnd("a", proven=True, restart_pending=True), HostEnd("b", proven=True))

    assert lines(*hosts) == [
        "Summary: 1 of 2 hosts proven",
        "proven: b",
        "restart pending: a",
        'next: a: restart dockerd, or run again with gvisor_restart = "auto"',
    ]


@pytest.mark.parametrize(
    ("hosts", "run", "expected"),
    [
        pytest.param([{"pending": True}], {"executed": False}, True, id="nobody-pressed-enter"),
        pytest.param([{"pending": True}], PLAN, False, id="plan"),
        pytest.param([{}, {"looked_at": False}], PLAN, True, id="half-a-plan"),
        pytest.param([{"pending": None}], PLAN, True, id="plan-with-y"),
        pytest.param([{"finished": False}], {}, False, id="executed"),
    ],
)
def test_a_run_ended_early_if_it_made_neither_its_plan_nor_its_changes(
    hosts: list[dict[str, Any]], run: dict[str, Any], expected: bool
) -> None:
    ends = tuple(HostEnd(str(number), **given) for number, given in enumerate(hosts))

    assert ended_early(RunEnd("deploy", ends, **run)) is expected


def test_of_many_reasons_the_first_three_are_said() -> None:
    host = HostEnd("a", failed=True, refused=True, causes=("1", "2", "3", "4", "5"))

    assert lines(host)[2:] == [
        "next: a: 1",
        "next: a: 2",
        "next: a: 3",
        "next: a: 2 more, see above",
    ]


@pytest.mark.parametrize(
    ("job", "host", "run", "expected"),
    [
        pytest.param("deploy", {}, {}, "as declared", id="nothing-to-do"),
        pytest.param("deploy", {"changed": True}, {}, "changed", id="no-proof-declared"),
        pytest.param("audit", {}, {}, "compliant", id="audit"),
        pytest.param(
            "audit", {"strays": True, "failed": True, "causes": ("x",)}, {}, "not compliant",
            id="findings",
        ),
        pytest.param(
            "audit", {"strays": True, "causes": ("x",)}, PLAN,
            "not compliant", id="findings-of-a-dry-run",
        ),
        pytest.param("audit", {}, PLAN, "compliant", id="dry-audit"),
        pytest.param("audit", {"pending": None}, PLAN, "not looked at", id="dry-audit-with-y"),
        pytest.param("audit", {"looked_at": False}, {}, "not looked at", id="not-our-host"),
        pytest.param("doctor", {"pending": None}, PLAN, "ready", id="dry-doctor-with-y"),
        pytest.param("doctor", {"looked_at": False}, PLAN, "not looked at", id="ended-doctor"),
        pytest.param("deploy", {"restart_pending": True}, PLAN, "restart pending", id="waits"),
        pytest.param(
            "deploy", {"restart_pending": True, "pending": True}, PLAN,
            "changes pending", id="will-wait",
        ),
        pytest.param("audit", {"refused": True, "causes": ("x",)}, {}, "refused", id="bad-key"),
        pytest.param("rollback", {"changed": True, "proven": True}, {}, AFTER, id="back"),
        pytest.param("remove", {"changed": True}, {}, "changed", id="removed"),
        pytest.param("coolify", {}, {}, "unchanged", id="skipped"),
        pytest.param("deploy", {"pending": None}, PLAN, "not looked at", id="dry-with-y"),
        pytest.param("deploy", {"finished": False}, {}, "not finished", id="ended-early"),
        pytest.param(
            "deploy", {"refused": True, "changed": True, "failed": True, "causes": ("x",)}, {},
            "failed", id="refused-after-changes",
        ),
        pytest.param(
            "deploy", {"refused": True, "causes": ("x",), "pending": True},
            PLAN, "refused", id="refused-in-a-dry-run",
        ),
    ],
)  # fmt: skip
def test_a_host_has_one_outcome(
    job: Job, host: dict[str, Any], run: dict[str, Any], expected: str
) -> None:
    found = HostEnd("a", **host)

    assert outcome(found, RunEnd(job, (found,), **run)) == expected
