"""The last lines of a run."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.report.summary import HostEnd, Job, RunEnd, ended_early, outcome, summary

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


@pytest.mark.parametrize(
    ("hosts", "counted"),
    [
        pytest.param(
            [{"proven": True}, {}, {}], "3 of 3 hosts as declared, 1 of them proven", id="one"
        ),
        pytest.param(
            [{"proven": True}, {"changed": True}],
            "2 of 2 hosts as declared, 1 of them proven",
            id="changed",
        ),
        pytest.param(
            [{"proven": True}, {"failed": True}, {}],
            "2 of 3 hosts as declared, 1 of them proven",
            id="failed",
        ),
        pytest.param(
            [{"proven": True}, {"failed": True}], "1 of 2 hosts proven", id="other-failed"
        ),
        pytest.param([{"proven": True}] * 2, "2 of 2 hosts proven", id="every"),
        pytest.param([{}, {}], "2 of 2 hosts as declared", id="none"),
    ],
)
def test_the_headline_calls_only_those_proven_that_are(
    hosts: list[dict[str, Any]], counted: str
) -> None:
    ends = [HostEnd(str(number), **given) for number, given in enumerate(hosts)]

    assert lines(*ends)[0] == f"Summary: {counted}"


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


@pytest.mark.parametrize(
    ("job", "host", "headline"),
    [
        pytest.param(
            "deploy", {"changed": True}, "Summary: 1 of 1 host as declared", id="unproven"
        ),
        pytest.param("audit", {}, "Summary: 1 of 1 host compliant", id="audit"),
        pytest.param("remove", {"changed": True}, "Summary: 1 of 1 host done", id="remove"),
        pytest.param("coolify", {"reached": False}, "Summary: 0 of 1 host done", id="coolify"),
    ],
)
def test_the_headline_counts_the_hosts_that_are_as_they_should_be(
    job: Job, host: dict[str, Any], headline: str
) -> None:
    assert lines(HostEnd("a", **host), job=job)[0] == headline
