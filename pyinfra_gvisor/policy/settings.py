"""The ``gvisor_*`` keys about what is looked for, reported and watched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.selectors import COOLIFY, Exemption, Reason, Selector

# Below these systemd keeps nothing that others write, or a node has no business to be written to.
Directory = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]+$")]


class AuditSettings(Strict):
    """What is held against a node, beside what is declared for it."""

    must_sandbox: tuple[Selector, ...] = Field(
        (COOLIFY,),
        description='Which containers must run in a sandbox, each `{"labels": {…}, "name": '
        '"shop-*"}` with either or both; a label\'s value may be a list of values. `[]`: none.',
    )
    exempt: tuple[Exemption, ...] = Field(
        (),
        description="Which of these need not: the same, with a `reason` that every report repeats.",
    )
    waivers: dict[str, Reason] = Field(
        default_factory=dict,
        description="Findings that are accepted: a reason by rule (`daemon-json-mode`) or by "
        "docker-bench-security's id (`2.9`).",
    )
    audit_fail_on: Severity = Field(
        Severity.HIGH, description="The mildest finding that makes the audit fail a host."
    )
    report_dir: str | None = Field(
        None,
        min_length=1,
        description="Where audit and deploy write their reports, on the controller; relative to "
        "where pyinfra is started.",
    )
    textfile_dir: Directory | None = Field(
        None,
        description="Where Prometheus' node exporter looks for textfiles on the node; it has to "
        "be there before a run begins.",
    )
    watch: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Have a systemd timer on the node that looks for containers that must be in a "
        "sandbox and are not.",
    )
    watch_interval_s: Annotated[int, Field(ge=10, le=86400, strict=True)] = Field(
        120, description="Seconds between two looks of the watch."
    )
    watch_action: Literal["report", "stop"] = Field(
        "report",
        description="What the watch does with such a container: say it in the journal, or stop it "
        "besides.",
    )
