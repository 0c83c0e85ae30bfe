"""The ``gvisor_*`` keys about the policy, the audit, its reports and the watch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.selectors import COOLIFY, Exemption, Reason, Selector

# An absolute path; characters that a shell or systemd would interpret are refused.
Directory = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]+$")]


class AuditSettings(Strict):
    """Settings of the policy, the audit, its reports and the watch."""

    must_sandbox: tuple[Selector, ...] = Field(
        (COOLIFY,),
        description='Containers that must run in gVisor, each `{"labels": {…}, "name": '
        '"shop-*"}`, or one of the two. A label may have a list of values. Not used with '
        "`gvisor_default`: then all must, except `gvisor_infrastructure`.",
    )
    exempt: tuple[Exemption, ...] = Field(
        (),
        description="Exceptions from `gvisor_must_sandbox` in the same form, with a `reason` that "
        "every report repeats. Refused with `gvisor_default`.",
    )
    waivers: dict[str, Reason] = Field(
        default_factory=dict,
        description="Accepted findings: a reason by rule (`daemon-json-mode`) or by "
        "docker-bench-security's id (`2.9`).",
    )
    audit_fail_on: Severity = Field(
        Severity.HIGH,
        description="A finding of this severity or worse fails the host's audit.",
    )
    report_dir: str | None = Field(
        None,
        min_length=1,
        description="Directory on the controller for reports of audit and deploy, relative to "
        "where pyinfra starts. `None`: no reports.",
    )
    textfile_dir: Directory | None = Field(
        None,
        description="Existing directory on the node for metrics of Prometheus' node exporter. "
        "`None`: no metrics.",
    )
    watch: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Install a timer on the node that looks for containers that must run in gVisor "
        "and do not.",
    )
    watch_interval_s: Annotated[int, Field(ge=10, le=86400, strict=True)] = Field(
        120, description="Seconds between two checks of the watch."
    )
    watch_action: Literal["report", "stop"] = Field(
        "report",
        description="What the watch does with such a container: `report` it in the journal, or "
        "also `stop` it.",
    )
