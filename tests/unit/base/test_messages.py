"""What people read: errors, the last lines of a run, and lines that are wider than the terminal."""

import os
from typing import Any

import pytest

from pyinfra_gvisor.base import columns
from pyinfra_gvisor.base.columns import continued, left_of, shortened, terminal_columns
from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.report.summary import HostEnd, Job, RunEnd, ended_early, outcome, summary
from tests.arguments import Data, Patch
from tests.table import table


@table(
    "problem, text",
    what=(Problem("is a directory"), "is a directory"),
    what_and_got=(Problem("is wrong", got="x"), "is wrong, got x"),
    what_and_todo=(Problem("is wrong", todo="mend it"), "is wrong; mend it"),
    all_three=(Problem("is wrong", got=["a"], todo="mend it"), "is wrong, got ['a']; mend it"),
    got_is_zero=(Problem("must not be 0", got=0), "must not be 0, got 0"),
    got_is_empty=(Problem("must be set", got=""), "must be set, got "),
)
def test_a_problem_says_what_is_wrong_what_it_got_what_to_do(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_problem_at_a_place_names_operation_file_and_host_first() -> None:
    problem = Problem("is a directory", todo="remove it")

    line = problem.at("docker.daemon_json", "/etc/docker/daemon.json", "run-3")

    assert line == f"docker.daemon_json: /etc/docker/daemon.json on run-3: {problem}"


@table(
    "value, shown",
    short_text=("short", "short"),
    just_fits=("x" * 60, "x" * 60),
    one_too_long=("x" * 61, "x" * 59 + "…"),
    control_characters=("a\nb\tc\x1b[31md", "a?b?c?[31md"),
    unicode=("gr\u00fc\u00df", "gr\u00fc\u00df"),
    invisible_unicode=("a\u202eb\u2028c", "a?b?c"),
    none=(None, "None"),
    a_number=(20260928.0, "20260928.0"),
    a_mapping=({"a": "b"}, "{'a': 'b'}"),
)
def test_input_is_shown_on_one_printable_line(value: object, shown: str) -> None:
    assert cut(value) == shown


LONG = "docker.daemon_json: /etc/docker/daemon.json on run-1: dockerd does not start; run again"
URL = "https://storage.googleapis.com/gvisor/releases/release/20260928.0/x86_64/gvisor.tar.bz2"
RED, END = "\x1b[31m", "\x1b[0m"


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: Patch) -> None:
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


@table(
    "given, found, expected",
    COLUMNS_first=("80", 120, 80),
    terminal=("", 120, 120),
    no_terminal=("", None, None),
    COLUMNS_without_terminal=("90", None, 90),
    no_number=("wide", 120, 120),
    zero=("0", None, None),
    nothing_fits=("5", None, 24),
    terminal_of_no_size=("", 0, None),
)
def test_the_width_is_that_of_the_terminal_that_messages_go_to(
    given: str, found: int | None, expected: int | None, monkeypatch: Patch
) -> None:
    def size(_file: int) -> os.terminal_size:
        if found is None:
            raise OSError
        return os.terminal_size((found, 24))

    monkeypatch.setenv("COLUMNS", given)
    monkeypatch.setattr(os, "get_terminal_size", size)

    assert terminal_columns() == expected


def test_what_is_laid_out_has_one_width_and_on_a_terminal_what_a_name_leaves(
    monkeypatch: Patch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert left_of(12) == 68
    monkeypatch.setattr(columns, "terminal_columns", lambda: None)

    assert left_of(4) == left_of(40) == 100


PLAN = {"executed": False, "dry": True}
REFUSED = (
    "Docker would refuse to start cadvisor, edge again. "
    "If the platform needs it: pyinfra-gvisor accept cadvisor"
)
KERNEL = "gVisor needs Linux 5.6 or later, got 4.19; upgrade the kernel"


def lines(*hosts: HostEnd, job: Job = "deploy", **run: Any) -> list[str]:
    """The summary without its colours."""
    return [text for text, _ in summary(RunEnd(job, hosts, **run))]


def test_every_outcome_has_its_hosts_and_every_cause_one_line() -> None:
    hosts = (
        HostEnd("a", proven="now"),
        HostEnd("b", failed=True, refused=True, causes=(KERNEL,)),
        HostEnd("c", failed=True, changed=True, causes=("not proven: exec; run nothing here",)),
        HostEnd("d", reached=False, failed=True),
        HostEnd("e", failed=True, refused=True, causes=(KERNEL,)),
        HostEnd("f", failed=True),
    )

    assert lines(*hosts) == [
        "Summary: gVisor works on 1 of 6 hosts",
        "proven by a test container: a",
        "refused: b, e",
        "failed: c, f",
        "not reached: d",
        f"next: b, e: {KERNEL}",
        "next: c: not proven: exec; run nothing here",
        "next: d: no connection, see the reason above; check that you can log in yourself",
        "next: f: see the error above, then run again",
    ]


OF_THEM = "hosts as declared, gVisor works on 1 of them"


@table(
    "job, hosts, counted",
    one=("deploy", [{"proven": "now"}, {}, {}], f"3 of 3 {OF_THEM}"),
    changed=("deploy", [{"proven": "now"}, {"changed": True}], f"2 of 2 {OF_THEM}"),
    failed=("deploy", [{"proven": "now"}, {"failed": True}, {}], f"2 of 3 {OF_THEM}"),
    other_failed=("deploy", [{"proven": "now"}, {"failed": True}], "gVisor works on 1 of 2 hosts"),
    every=("deploy", [{"proven": "now"}] * 2, "gVisor works on 2 of 2 hosts"),
    none=("deploy", [{}, {}], "2 of 2 hosts as declared"),
    unproven=("deploy", [{"changed": True}], "1 of 1 host as declared"),
    audit=("audit", [{}], "1 of 1 host compliant"),
    remove=("remove", [{"changed": True}], "1 of 1 host done"),
    coolify=("coolify", [{"reached": False}], "0 of 1 host done"),
    none_inside=(
        "deploy",
        [{"proven": "now", "containers": (0, 12, 0)}, {"proven": "now", "containers": (0, 2, 0)}],
        "gVisor works on 2 of 2 hosts. 0 of 14 containers run in gVisor",
    ),
    one_not_read=(
        "audit",
        [{"containers": (10, 10, 0)}, {"reached": False}],
        "1 of 2 hosts compliant. 10 of 10 containers run in gVisor on 1 of 2 hosts",
    ),
    audited=(
        "audit",
        [{"containers": (9, 12, 3)}],
        "1 of 1 host compliant. 9 of 12 containers run",
    ),
)
def test_the_headline_counts_good_hosts(job: Job, hosts: list[Data], counted: str) -> None:
    ends = [HostEnd(str(number), **given) for number, given in enumerate(hosts)]

    headline = lines(*ends, job=job)[0]
    assert headline.removesuffix(" in gVisor") == f"Summary: {counted}".removesuffix(" in gVisor")


@table(
    "job, host, expected",
    apps_outside=(
        "deploy",
        {"proven": "now", "containers": (1, 12, 0)},
        "next: pyinfra-gvisor audit, which says what to do about the other 11",
    ),
    all_inside=(
        "deploy",
        {"proven": "now", "containers": (3, 3, 0)},
        "proven by a test container: a",
    ),
    all_others_accepted=(
        "deploy",
        {"proven": "now", "containers": (9, 12, 3)},
        "proven by a test container: a",
    ),
    no_container=("deploy", {"proven": "now"}, "proven by a test container: a"),
    ready=("doctor", {"containers": (0, 3, 0)}, "next: pyinfra-gvisor plan"),
    back=(
        "rollback",
        {"changed": True, "proven": "before"},
        "next: change the settings, or the next apply undoes this rollback",
    ),
    back_to_what_is_not_proven=(
        "rollback",
        {"changed": True},
        "next: a: isolation is not proven now; pyinfra-gvisor audit says more",
    ),
    back_without_live_restore=(
        "rollback",
        {"changed": True, "proven": "before", "ends_containers": True},
        "next: a: live-restore is off: a restart of dockerd ends all containers",
    ),
    nothing_to_roll_back=("rollback", {}, "unchanged: a"),
    repaired=(
        "deploy",
        {"proven": "before", "changed": True},
        "changed, but nothing that the last proof was about: a",
    ),
    again=("deploy", {"proven": "before"}, "unchanged since it was proven by a test container: a"),
    to_be_refused=(
        "deploy",
        {"proven": "now", "to_refuse": ("cadvisor", "edge")},
        f"next: a: {REFUSED}",
    ),
)
def test_the_last_line_says_what_to_do_next(job: Job, host: Data, expected: str) -> None:
    assert lines(HostEnd("a", **host), job=job)[-1] == expected


def test_what_is_pending_waits_for_enter_or_for_a_restart_is_said_with_what_to_do() -> None:
    hosts = (HostEnd("a", pending=True), HostEnd("b"), HostEnd("c", pending=True))
    waiting = (HostEnd("a", proven="now", restart_pending=True), HostEnd("b", proven="now"))

    assert lines(*hosts, **PLAN) == [
        "Summary of the plan: 1 of 3 hosts as declared",
        "as declared: b",
        "changes pending on 2 hosts: a, c",
        "next: pyinfra-gvisor apply",
    ]
    assert lines(*hosts, **PLAN, limited=True)[-1] == (
        "next: pyinfra-gvisor apply --limit a --limit b --limit c"
    )
    assert lines(*hosts, hosts[1], **PLAN, limited=True)[-1] == (
        "next: pyinfra-gvisor apply, with the same --limit"
    )
    again = "next: run pyinfra-gvisor apply again, and say yes"
    assert lines(hosts[0], executed=False)[-1] == again
    assert lines(*waiting) == [
        *("Summary: gVisor works on 1 of 2 hosts", "proven by a test container: b"),
        "restart pending: a",
        'next: a: restart dockerd, or run again with gvisor_restart = "auto"',
    ]


@table(
    "hosts, run, expected",
    nobody_pressed_enter=([{"pending": True}], {"executed": False}, True),
    plan=([{"pending": True}], PLAN, False),
    half_a_plan=([{}, {"looked_at": False}], PLAN, True),
    plan_with_y=([{"pending": None}], PLAN, True),
    executed=([{"finished": False}], {}, False),
)
def test_a_run_ended_early_if_it_made_neither_its_plan_nor_its_changes(
    hosts: list[Data], run: Data, expected: bool
) -> None:
    ends = tuple(HostEnd(str(number), **given) for number, given in enumerate(hosts))

    assert ended_early(RunEnd("deploy", ends, **run)) is expected


def test_of_many_reasons_the_first_three_are_said() -> None:
    host = HostEnd("a", failed=True, refused=True, causes=("1", "2", "3", "4", "5"))

    told = [line.removeprefix("next: a: ") for line in lines(host)[2:]]
    assert told == ["1", "2", "3", "2 more, see above"]


REFUSED, STRAYS = {"refused": True, "causes": ("x",)}, {"strays": True, "causes": ("x",)}
WAITS = {"restart_pending": True}


@table(
    "job, host, run, expected",
    nothing_to_do=("deploy", {}, {}, "as declared"),
    no_proof_declared=("deploy", {"changed": True}, {}, "changed"),
    audit=("audit", {}, {}, "compliant"),
    findings=("audit", {**STRAYS, "failed": True}, {}, "not compliant"),
    findings_of_a_dry_run=("audit", STRAYS, PLAN, "not compliant"),
    dry_audit=("audit", {}, PLAN, "compliant"),
    dry_audit_with_y=("audit", {"pending": None}, PLAN, "not looked at"),
    not_our_host=("audit", {"looked_at": False}, {}, "not looked at"),
    dry_doctor_with_y=("doctor", {"pending": None}, PLAN, "ready"),
    ended_doctor=("doctor", {"looked_at": False}, PLAN, "not looked at"),
    waits=("deploy", WAITS, PLAN, "restart pending"),
    will_wait=("deploy", {**WAITS, "pending": True}, PLAN, "changes pending"),
    bad_key=("audit", REFUSED, {}, "refused"),
    back=("rollback", {"changed": True, "proven": "now"}, {}, "proven after changes"),
    removed=("remove", {"changed": True}, {}, "changed"),
    skipped=("coolify", {}, {}, "unchanged"),
    dry_with_y=("deploy", {"pending": None}, PLAN, "not looked at"),
    ended_early=("deploy", {"finished": False}, {}, "not finished"),
    refused_later=("deploy", {**REFUSED, "changed": True, "failed": True}, {}, "failed"),
    refused_in_a_dry_run=("deploy", {**REFUSED, "pending": True}, PLAN, "refused"),
)
def test_a_host_has_one_outcome(job: Job, host: Data, run: Data, expected: str) -> None:
    found = HostEnd("a", **host)

    assert outcome(found, RunEnd(job, (found,), **run)) == expected
