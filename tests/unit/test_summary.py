"""The last lines of a run."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.report.summary import HostEnd, Job, RunEnd, outcome, summary

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
        pytest.param("audit", {}, {}, "as declared", id="audit"),
        pytest.param(
            "audit", {"strays": True, "failed": True, "causes": ("x",)}, {}, "not as declared",
            id="findings",
        ),
        pytest.param(
            "audit", {"strays": True, "causes": ("x",)}, PLAN,
            "not as declared", id="findings-of-a-dry-run",
        ),
        pytest.param("audit", {"pending": None}, PLAN, "as declared", id="dry-audit"),
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
        pytest.param("audit", {}, "Summary: 1 of 1 host as declared", id="audit"),
        pytest.param("remove", {"changed": True}, "Summary: 1 of 1 host done", id="remove"),
        pytest.param("coolify", {"reached": False}, "Summary: 0 of 1 host done", id="coolify"),
    ],
)
def test_the_headline_counts_the_hosts_that_are_as_they_should_be(
    job: Job, host: dict[str, Any], headline: str
) -> None:
    assert lines(HostEnd("a", **host), job=job)[0] == headline
